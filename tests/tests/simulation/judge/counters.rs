//! Compares the counters of the queue with the delivered records of the stream, and at the end with the table.

use super::{Check, Judge};
use crate::queue::Counts;
use crate::world::World;

impl Judge {
    /// The counters contain every delivered batch once, and the batch in flight at most once.
    pub(super) fn counted(&self, world: &World) -> Check {
        let ledger = world.ledger.lock().unwrap();
        if self.counters == ledger.counted || Some(self.counters) == ledger.in_flight {
            return Ok(());
        }
        let (counted, in_flight) = (ledger.counted, ledger.in_flight);
        Err(format!("the counters are {:?}, expected are {counted:?} or {in_flight:?}", self.counters))
    }

    /// When the whole stream has been delivered, the counters agree with the table.
    pub(super) fn all_counted(&self) -> Check {
        let stored = Counts::new(0, 0, 0, self.marked.len() as i64);
        if self.counters == stored {
            return Ok(());
        }
        Err(format!("the counters are {:?}, but the table contains {stored:?}", self.counters))
    }
}
