//! Compares the answers that actors got with the table.

use af_app::queue::Cancelled;
use af_domain::ids::LeaseId;

use super::{Check, Judge};
use crate::answers::Answers;
use crate::world::World;

/// How a lease ended.
pub struct End {
    /// A time at which the lease had ended, ms.
    pub by: u64,
    pub outcome: String,
}

impl Judge {
    pub(super) fn answers(&mut self, world: &World) -> Check {
        let answers = &world.answers;
        self.check_operator_answers(answers)?;
        self.updates(world)?;
        self.deliveries(world)?;
        for (lease, asked) in answers.confirmed_leases.lock().unwrap().drain(..) {
            self.check_confirmed_lease(&lease, asked.as_millis())?;
        }
        for (lease, answered) in answers.failed.lock().unwrap().drain(..) {
            let outcome = self.ended.get(lease.as_str()).map(|e| e.outcome.as_str());
            if outcome != Some(answered) {
                return Err(format!(
                    "the failure of {lease} was answered with {answered}, but the lease ended as {outcome:?}"
                ));
            }
        }
        for lease in answers.appended.lock().unwrap().drain(..) {
            if !self.appended.contains(lease.as_str()) {
                return Err(format!("an append under {lease} was answered, but its entries are missing"));
            }
        }
        Ok(())
    }

    /// The table agrees with the answers of operators. Later calls cannot undo them, except that a message is retried.
    fn check_operator_answers(&mut self, answers: &Answers) -> Check {
        for (id, cancelled) in answers.cancelled.lock().unwrap().drain(..) {
            let message = &self.messages[&id];
            let meta = self.conversations.get(&message.conversation);
            let lease = meta.and_then(|m| m.lease.as_ref()).filter(|l| l.entry.message == id);
            let is_pending = cancelled == Cancelled::WhenItsAttemptEnds && lease.is_some_and(|l| l.cancelled);
            if message.status != "cancelled" && !is_pending {
                return Err(format!(
                    "a cancellation of {id} was answered ({cancelled:?}), but the message is {message:?}"
                ));
            }
        }
        for id in answers.done.lock().unwrap().drain(..) {
            if self.messages[&id].status != "done" {
                return Err(format!(
                    "the answer says that {id} is done, but the message is {:?}",
                    self.messages[&id]
                ));
            }
        }
        for id in answers.retried.lock().unwrap().drain(..) {
            if !self.retried.contains(&id) {
                return Err(format!("a retry of {id} was answered, but {id} was never retried"));
            }
        }
        for (conversation, freed) in answers.freed.lock().unwrap().drain(..) {
            let Some((message, outcome)) = freed.message_id.zip(freed.outcome) else { continue };
            let ended = (conversation, message, outcome);
            let Some(index) = self.freed.iter().position(|f| *f == ended) else {
                return Err(format!("freeing {ended:?} was answered, but it was not freed"));
            };
            self.freed.swap_remove(index);
        }
        Ok(())
    }

    /// A worker gets a lease confirmed only while the lease is in force: it exists, and it had not ended before the
    /// call.
    fn check_confirmed_lease(&self, lease: &LeaseId, asked: u64) -> Check {
        if let Some(end) = self.ended.get(lease.as_str()).filter(|e| e.by < asked) {
            return Err(format!(
                "{lease} had ended by {}, but was confirmed to a worker that called at {asked}",
                end.by
            ));
        }
        let key = format!("C#{}", lease.parts().conversation);
        let running = self.latest.get(&key).is_some_and(|c| c.lease.id == lease.as_str());
        if running || self.ended.contains_key(lease.as_str()) {
            return Ok(());
        }
        Err(format!("{lease} was handed out, but was never created"))
    }
}
