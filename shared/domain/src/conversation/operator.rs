//! What an operator does to a conversation: cancel, retry, free. A sender cancels, too.

use super::{Conversation, Entry, Failure, GivenBack};
use crate::attempt::EndedBy;
use crate::ids::MessageId;
use crate::policy::Policies;
use crate::time::Timestamp;

/// A conversation taken from whoever had it.
#[derive(Clone, Debug)]
pub struct Freed {
    /// The conversation as it will be: no lease, no owner.
    pub after: Conversation,
    /// What becomes of the message that ran.
    pub back: Option<GivenBack>,
}

impl Conversation {
    /// The conversation without the waiting message `message`; `None` when that one does not wait here.
    #[must_use]
    pub fn without(&self, message: &MessageId, now: Timestamp, policies: &Policies) -> Option<Conversation> {
        let place = self.queue.entries().iter().position(|e| &e.message == message)?;
        let mut after = self.clone();
        after.queue.take(place);
        after.touch(now, policies);
        Some(after)
    }

    /// The conversation with a dead letter queued again behind all others; `None` when no more may wait here.
    #[must_use]
    pub fn with_retried(&self, entry: Entry, now: Timestamp, policies: &Policies) -> Option<Conversation> {
        if self.queue.len() as u64 >= policies.queue.max_pending_per_conversation {
            return None;
        }
        let mut after = self.clone();
        after.queue.push(entry);
        after.touch(now, policies);
        Some(after)
    }

    /// The conversation without lease and owner; the attempt that ran stays counted. `None` when there is neither.
    #[must_use]
    pub fn freed(&self, reason: &str, jitter: f64, now: Timestamp, policies: &Policies) -> Option<Freed> {
        let back = self.lease.as_ref().map(|lease| {
            let failure = Failure { error: format!("freed by operator: {reason}"), retryable: true };
            self.give_back(lease, failure, EndedBy::Operator, jitter, now, policies)
        });
        let mut after = match (&back, &self.owner) {
            (Some(back), _) => back.after.clone(),
            (None, Some(_)) => self.clone(),
            (None, None) => return None,
        };
        after.owner = None;
        after.touch(now, policies);
        Some(Freed { after, back })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{NOW, conversation, entry, worker};
    use super::super::{Cut, NotHeld, Outcome};
    use super::*;

    fn id(text: &str) -> MessageId {
        MessageId::parse(text).unwrap()
    }

    fn waiting(conversation: &Conversation) -> Vec<&str> {
        conversation.queue.entries().iter().map(|e| e.message.as_str()).collect()
    }

    #[test]
    fn a_cancelled_message_leaves_its_place_to_the_next() {
        let policies = Policies::default();
        let before = conversation(&["a", "b"]).with_keys_repaired(NOW, &policies).unwrap();
        let after = before.without(&id("a"), NOW, &policies).unwrap();
        assert_eq!((waiting(&after), after.version), (vec!["b"], before.version + 1));
        let none = after.without(&id("b"), NOW, &policies).unwrap();
        assert_eq!((&none.ready, &none.behind), (&None, &None), "nothing waits, so nothing is listed");
        assert!(none.without(&id("b"), NOW, &policies).is_none());
    }

    #[test]
    fn a_running_message_is_not_among_those_that_wait() {
        let policies = Policies::default();
        let claimed = conversation(&["a"]).claim(&worker("w"), 1, NOW, &policies).unwrap().after;
        assert!(claimed.without(&id("a"), NOW, &policies).is_none());
    }

    #[test]
    fn a_cancelled_attempt_ends_cancelled_whatever_its_holder_says() {
        let policies = Policies::default();
        let mut claimed = conversation(&["a"]).claim(&worker("w"), 1, NOW, &policies).unwrap().after;
        claimed.lease.as_mut().unwrap().cancelled = true;
        let lease = claimed.lease.clone().unwrap().id;
        let failure = Failure { error: "model is down".into(), retryable: true };
        let failed = claimed.fail(&lease, failure, 0.0, NOW, &policies).unwrap();
        let recovered = claimed.recover(Cut::WorkerGone, 0.0, NOW, &policies).unwrap();
        let freed = claimed.freed("stuck", 0.0, NOW, &policies).unwrap();
        for back in [&failed, &recovered, freed.back.as_ref().unwrap()] {
            assert_eq!(back.outcome, Outcome::Cancelled);
            assert!(back.after.queue.is_empty() && back.after.lease.is_none());
        }
    }

    #[test]
    fn a_retried_dead_letter_stands_last_and_a_full_queue_takes_none() {
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
    fn freeing_ends_the_attempt_with_its_reason_and_takes_the_owner_away() {
        let policies = Policies::default();
        let claimed = conversation(&["a", "b"]).claim(&worker("w"), 1, NOW, &policies).unwrap();
        let freed = claimed.after.freed("hangs", 0.0, NOW, &policies).unwrap();
        let back = freed.back.unwrap();
        assert_eq!(back.error, "freed by operator: hangs");
        assert_eq!((back.entry.attempts, back.ended_by), (1, EndedBy::Operator));
        assert!(freed.after.owner.is_none() && freed.after.lease.is_none() && freed.after.ready.is_some());
        assert_eq!(freed.after.not_held(&claimed.lease.id), NotHeld::Stale);
        assert_eq!(waiting(&freed.after), ["a", "b"]);
        assert!(freed.after.freed("again", 0.0, NOW, &policies).is_none(), "nobody has it any more");
    }

    #[test]
    fn an_owner_without_a_message_is_taken_away_as_well() {
        let policies = Policies::default();
        let owned = conversation(&[]).assigned_to(&worker("w"), NOW, &policies).unwrap();
        let freed = owned.freed("gone", 0.0, NOW, &policies).unwrap();
        assert!(freed.back.is_none() && freed.after.owner.is_none());
    }
}
