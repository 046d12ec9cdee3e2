//! The counters of the queue, held against what was brought from the stream, and in the end against the table.

use super::{Broken, Judge};
use crate::queue::Counts;
use crate::world::World;

impl Judge {
    /// The counters show every batch that was taken once, and the one that is on its way at most once.
    pub(super) fn counted(&self, world: &World) -> Broken {
        let ledger = world.ledger.lock().unwrap();
        if self.counters == ledger.counted || Some(self.counters) == ledger.coming {
            return Ok(());
        }
        let (counted, coming) = (ledger.counted, ledger.coming);
        Err(format!("counted are {:?}, but it should be {counted:?}, or {coming:?} soon", self.counters))
    }

    /// When the whole stream was taken, the counters are what is in the table.
    pub(super) fn all_counted(&self) -> Broken {
        let stored = Counts::new(0, 0, 0, self.marked.len() as i64);
        if self.counters == stored {
            return Ok(());
        }
        Err(format!("counted are {:?}, but in the table are {stored:?}", self.counters))
    }
}
