//! What actors were answered, held against what the table shows.

use af_domain::ids::LeaseId;

use super::{Broken, Judge};
use crate::world::World;

/// How a lease ended.
pub struct End {
    /// The moment by which it had, ms.
    pub by: u64,
    pub outcome: String,
}

impl Judge {
    pub(super) fn answers(&self, world: &World) -> Broken {
        let answers = &world.answers;
        for (lease, asked) in answers.held.lock().unwrap().drain(..) {
            self.was_held(&lease, asked.as_millis())?;
        }
        for (lease, answered) in answers.failed.lock().unwrap().drain(..) {
            let outcome = self.ended.get(lease.as_str()).map(|e| e.outcome.as_str());
            if outcome != Some(answered) {
                return Err(format!("{lease} was answered {answered}, but ended as {outcome:?}"));
            }
        }
        for lease in answers.appended.lock().unwrap().drain(..) {
            if !self.appended.contains(lease.as_str()) {
                return Err(format!("an append under {lease} was answered, and is not there"));
            }
        }
        Ok(())
    }

    /// Whoever is told that it holds a lease does: the lease was made, and had not ended when it was asked for.
    fn was_held(&self, lease: &LeaseId, asked: u64) -> Broken {
        if let Some(end) = self.ended.get(lease.as_str()).filter(|e| e.by < asked) {
            return Err(format!(
                "{lease} had ended by {}, but was held for whoever asked at {asked}",
                end.by
            ));
        }
        let key = format!("C#{}", lease.parts().conversation);
        let running = self.latest.get(&key).is_some_and(|c| c.lease.id == lease.as_str());
        if running || self.ended.contains_key(lease.as_str()) {
            return Ok(());
        }
        Err(format!("{lease} was handed out and was never made"))
    }
}
