//! What actors were answered, held against what the table shows.

use af_app::queue::Cancelled;
use af_domain::ids::LeaseId;

use super::{Broken, Judge};
use crate::answers::Answers;
use crate::world::World;

/// How a lease ended.
pub struct End {
    /// The moment by which it had, ms.
    pub by: u64,
    pub outcome: String,
}

impl Judge {
    pub(super) fn answers(&mut self, world: &World) -> Broken {
        let answers = &world.answers;
        self.mended(answers)?;
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

    /// What operators were answered is so; nothing that can follow undoes it, but that a message is retried.
    fn mended(&mut self, answers: &Answers) -> Broken {
        for (id, cancelled) in answers.cancelled.lock().unwrap().drain(..) {
            let message = &self.messages[&id];
            let meta = self.conversations.get(&message.conversation);
            let lease = meta.and_then(|m| m.lease.as_ref()).filter(|l| l.entry.message == id);
            let is_told = cancelled == Cancelled::WhenItsAttemptEnds && lease.is_some_and(|l| l.cancelled);
            if message.status != "cancelled" && !is_told {
                return Err(format!("{id} was answered cancelled ({cancelled:?}), but is {message:?}"));
            }
        }
        for id in answers.done.lock().unwrap().drain(..) {
            if self.messages[&id].status != "done" {
                return Err(format!("{id} was answered done, but is {:?}", self.messages[&id]));
            }
        }
        for id in answers.retried.lock().unwrap().drain(..) {
            if !self.retried.contains(&id) {
                return Err(format!("{id} was answered retried, and never was"));
            }
        }
        for (conversation, freed) in answers.freed.lock().unwrap().drain(..) {
            let Some((message, outcome)) = freed.message else { continue };
            let ended = (conversation, message.to_string(), outcome.as_str().to_owned());
            let Some(place) = self.freed.iter().position(|f| *f == ended) else {
                return Err(format!("{ended:?} was answered freed, and was not"));
            };
            self.freed.swap_remove(place);
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
