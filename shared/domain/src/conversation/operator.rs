//! The operations of an operator on a conversation: cancel, retry and free. A sender may cancel, too.

use super::lease::{FailedAttempt, Failure};
use super::queue::Entry;
use super::state::Conversation;
use crate::attempt::EndedBy;
use crate::ids::MessageId;
use crate::policy::Policies;
use crate::time::Timestamp;

/// A conversation that was taken from its worker.
#[derive(Clone, Debug)]
pub struct Freed {
    /// The conversation without lease and owner.
    pub after: Conversation,
    /// The attempt that was ended, if a message was running.
    pub back: Option<FailedAttempt>,
}

impl Conversation {
    /// Returns the conversation without the waiting message `message`; `None` if the message does not wait
    /// here.
    #[must_use]
    pub fn without(&self, message: &MessageId, now: Timestamp, policies: &Policies) -> Option<Self> {
        let place = self.queue.entries().iter().position(|e| &e.message == message)?;
        Some(self.changed(now, policies, |after| drop(after.queue.take(place))))
    }

    /// Returns the conversation with a dead letter queued again behind all other messages; `None` if the
    /// queue is full.
    #[must_use]
    pub fn with_retried(&self, entry: Entry, now: Timestamp, policies: &Policies) -> Option<Self> {
        let has_room = (self.queue.len() as u64) < policies.queue.max_pending_per_conversation;
        has_room.then(|| self.changed(now, policies, |after| after.queue.push(entry)))
    }

    /// Returns the conversation without lease and owner. The ended attempt stays counted. `None` if there is
    /// neither.
    #[must_use]
    pub fn freed(&self, reason: &str, jitter: f64, now: Timestamp, policies: &Policies) -> Option<Freed> {
        let back = self.lease.as_ref().map(|lease| {
            let failure =
                Failure { error: format!("freed by operator: {reason}"), retryable: true, retry_after: None };
            self.fail_attempt(lease, failure, EndedBy::Operator, jitter, now, policies)
        });
        let before = match (&back, &self.owner) {
            (Some(back), _) => &back.after,
            (None, Some(_)) => self,
            (None, None) => return None,
        };
        Some(Freed { after: before.changed(now, policies, |after| after.owner = None), back })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{NOW, conversation, entry, worker};
    use super::super::{LeaseError, Outcome, RecoverCause};
    use super::*;

    fn id(text: &str) -> MessageId {
        MessageId::parse(text).unwrap()
    }

    fn waiting(conversation: &Conversation) -> Vec<&str> {
        conversation.queue.entries().iter().map(|e| e.message.as_str()).collect()
    }

    #[test]
    fn cancelling_a_waiting_message_moves_the_next_one_up() {
        let policies = Policies::default();
        let before = conversation(&["a", "b"]).with_keys_repaired(NOW, &policies).unwrap();
        let after = before.without(&id("a"), NOW, &policies).unwrap();
        assert_eq!((waiting(&after), after.version), (vec!["b"], before.version + 1));
        let none = after.without(&id("b"), NOW, &policies).unwrap();
        assert_eq!((&none.ready, &none.behind), (&None, &None), "an empty queue has no index keys");
        assert!(none.without(&id("b"), NOW, &policies).is_none());
    }

    #[test]
    fn a_running_message_is_not_in_the_queue() {
        let policies = Policies::default();
        let claimed = conversation(&["a"]).claim(&worker("w"), 1, NOW, &policies).unwrap().after;
        assert!(claimed.without(&id("a"), NOW, &policies).is_none());
    }

    #[test]
    fn a_cancelled_attempt_ends_cancelled_even_when_its_holder_fails_it() {
        let policies = Policies::default();
        let mut claimed = conversation(&["a"]).claim(&worker("w"), 1, NOW, &policies).unwrap().after;
        claimed.lease.as_mut().unwrap().cancelled = true;
        let lease = claimed.lease.clone().unwrap().id;
        let failure = Failure { error: "model is down".into(), retryable: true, retry_after: None };
        let failed = claimed.fail(&lease, failure, 0.0, NOW, &policies).unwrap();
        let recovered = claimed.recover(RecoverCause::WorkerGone, 0.0, NOW, &policies).unwrap();
        let freed = claimed.freed("stuck", 0.0, NOW, &policies).unwrap();
        for back in [&failed, &recovered, freed.back.as_ref().unwrap()] {
            assert_eq!(back.outcome, Outcome::Cancelled);
            assert!(back.after.queue.is_empty() && back.after.lease.is_none());
        }
    }

    #[test]
    fn a_retried_dead_letter_is_queued_last_and_a_full_queue_refuses_it() {
        let mut policies = Policies::default();
        let mut late = entry("dead");
        late.due = NOW + policies.lease.lease;
        let after = conversation(&["a", "b"]).with_retried(late.clone(), late.due, &policies).unwrap();
        assert_eq!(waiting(&after), ["a", "b", "dead"]);
        assert_eq!(after.readiness(late.due, &policies).head, Some(0));
        policies.queue.max_pending_per_conversation = 3;
        assert!(after.with_retried(late, NOW, &policies).is_none());
    }

    #[test]
    fn freeing_ends_the_attempt_with_its_reason_and_removes_the_owner() {
        let policies = Policies::default();
        let claimed = conversation(&["a", "b"]).claim(&worker("w"), 1, NOW, &policies).unwrap();
        let freed = claimed.after.freed("hangs", 0.0, NOW, &policies).unwrap();
        let back = freed.back.unwrap();
        assert_eq!(back.error, "freed by operator: hangs");
        assert_eq!((back.entry.attempts, back.ended_by), (1, EndedBy::Operator));
        assert!(freed.after.owner.is_none() && freed.after.lease.is_none() && freed.after.ready.is_some());
        assert_eq!(freed.after.lease_error(&claimed.lease.id), LeaseError::Stale);
        assert_eq!(waiting(&freed.after), ["a", "b"]);
        assert!(freed.after.freed("again", 0.0, NOW, &policies).is_none(), "it has no owner any more");
    }

    #[test]
    fn freeing_removes_an_owner_that_runs_no_message() {
        let policies = Policies::default();
        let owned = conversation(&[]).assigned_to(&worker("w"), NOW, &policies).unwrap();
        let freed = owned.freed("gone", 0.0, NOW, &policies).unwrap();
        assert!(freed.back.is_none() && freed.after.owner.is_none());
    }
}
