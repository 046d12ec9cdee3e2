//! What a message of this conversation waits for, as far as the conversation knows.

use super::{Conversation, Entry, Lease};
use crate::ids::MessageId;
use crate::policy::Policies;
use crate::time::Timestamp;

/// What stands between a message and its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting<'a> {
    /// It runs, under this lease.
    ToEnd(&'a Lease),
    /// Its retry is due at this moment.
    Retry(Timestamp),
    /// It is scheduled for this moment.
    Scheduled(Timestamp),
    /// Its attachments are still to come; it goes on without them at this moment.
    Attachments(Timestamp),
    /// Another message of the conversation runs.
    Running(&'a Lease),
    /// Another message of the conversation comes first.
    Behind(&'a Entry),
    /// It is the next: whoever owns the conversation, or comes to own it, may claim it now.
    Worker,
}

impl Conversation {
    /// What `message` waits for at `now`; `None` when the conversation does not name it.
    pub fn waiting_of(
        &self,
        message: &MessageId,
        now: Timestamp,
        policies: &Policies,
    ) -> Option<Waiting<'_>> {
        if let Some(lease) = self.lease.as_ref().filter(|l| &l.entry.message == message) {
            return Some(Waiting::ToEnd(lease));
        }
        let place = self.queue.entries().iter().position(|e| &e.message == message)?;
        let entry = &self.queue.entries()[place];
        if entry.waits_until() > now {
            let until = entry.waits_until();
            return Some(match entry.due > now {
                _ if entry.is_retry() => Waiting::Retry(until),
                true => Waiting::Scheduled(until),
                false => Waiting::Attachments(until),
            });
        }
        if let Some(lease) = &self.lease {
            return Some(Waiting::Running(lease));
        }
        let first = self.in_order(now, policies).into_iter().next()?;
        Some(if &first.message == message { Waiting::Worker } else { Waiting::Behind(first) })
    }

    /// Whether anything is due here, or waits for its attachments, or for a retry that comes before its worker would be
    /// idle for too long.
    pub fn has_work_soon(&self, now: Timestamp, policies: &Policies) -> bool {
        let soon = now + policies.scaling.idle_timeout;
        let comes_soon = |e: &Entry| {
            let is_at_hand = e.is_retry() || e.awaits_attachments(now);
            is_at_hand && e.waits_until() <= soon
        };
        self.readiness(now, policies).head.is_some() || self.queue.entries().iter().any(comes_soon)
    }

    /// The conversation in which `message` does not wait for its attachments any more; `None` when it does not do so here.
    #[must_use]
    pub fn with_attachments_settled(
        &self,
        message: &MessageId,
        now: Timestamp,
        policies: &Policies,
    ) -> Option<Conversation> {
        let place = self.queue.entries().iter().position(|e| &e.message == message)?;
        if !self.queue.entries()[place].awaits_attachments(now) {
            return None;
        }
        let mut after = self.clone();
        after.queue.end_wait(place);
        after.touch(now, policies);
        Some(after)
    }

    /// What waits, in the order in which it would run if nothing came any more.
    pub fn in_order(&self, now: Timestamp, policies: &Policies) -> Vec<&Entry> {
        self.queue.in_order(now, policies.queue.on_retry)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{NOW, conversation, entry, worker};
    use super::super::{ClaimRefusal, Failure, Priority, Queue};
    use super::*;
    use crate::attachment::MAX_WAIT;
    use crate::policy::OnRetry;
    use crate::time::Millis;

    fn waiting<'a>(conversation: &'a Conversation, message: &str, policies: &Policies) -> Waiting<'a> {
        conversation.waiting_of(&MessageId::parse(message).unwrap(), NOW, policies).unwrap()
    }

    #[test]
    fn the_first_waits_for_a_worker_and_the_others_for_the_first() {
        let policies = Policies::default();
        let mut urgent = entry("b");
        urgent.priority = Priority::new(90).unwrap();
        let mut two = conversation(&["a"]);
        two.queue.push(urgent.clone());
        assert_eq!(waiting(&two, "b", &policies), Waiting::Worker);
        assert_eq!(waiting(&two, "a", &policies), Waiting::Behind(&urgent));
        let claimed = two.claim(&worker("w"), 1, NOW, &policies).unwrap();
        assert_eq!(waiting(&claimed.after, "b", &policies), Waiting::ToEnd(&claimed.lease));
        assert_eq!(waiting(&claimed.after, "a", &policies), Waiting::Running(&claimed.lease));
        assert_eq!(two.waiting_of(&MessageId::parse("c").unwrap(), NOW, &policies), None);
    }

    #[test]
    fn a_retry_waits_for_its_time_and_holds_the_others_up_where_the_policy_says_so() {
        let mut policies = Policies::default();
        let claimed = conversation(&["a", "b"]).claim(&worker("w"), 1, NOW, &policies).unwrap();
        let failure = Failure { error: "no".into(), retryable: true };
        let after = claimed.after.fail(&claimed.lease.id, failure, 0.0, NOW, &policies).unwrap().after;
        let retry = after.queue.entries()[0].clone();
        assert_eq!(waiting(&after, "a", &policies), Waiting::Retry(retry.not_before));
        assert_eq!(waiting(&after, "b", &policies), Waiting::Behind(&retry));
        policies.queue.on_retry = OnRetry::Overtake;
        assert_eq!(waiting(&after, "b", &policies), Waiting::Worker);
    }

    #[test]
    fn attachments_are_waited_for_until_they_are_settled() {
        let policies = Policies::default();
        let mut photo = entry("photo");
        photo.not_before = NOW + MAX_WAIT;
        let mut before = conversation(&[]);
        before.queue = Queue::new(vec![photo.clone(), entry("next")]);
        before = before.with_keys_repaired(NOW, &policies).unwrap();
        assert_eq!(waiting(&before, "photo", &policies), Waiting::Attachments(photo.not_before));
        assert_eq!(waiting(&before, "next", &policies), Waiting::Behind(&photo));
        assert!(
            before.has_work_soon(NOW, &policies) && before.is_busy(NOW, &policies),
            "its worker had better stay"
        );
        assert_eq!(before.claim(&worker("w"), 1, NOW, &policies).unwrap_err(), ClaimRefusal::NothingDue);
        let settled = |c: &Conversation, message| {
            c.with_attachments_settled(&MessageId::parse(message).unwrap(), NOW, &policies)
        };
        assert!(settled(&before, "next").is_none() && settled(&before, "gone").is_none());
        let after = settled(&before, "photo").unwrap();
        assert_eq!(
            (waiting(&after, "photo", &policies), after.version),
            (Waiting::Worker, before.version + 1)
        );
        assert_eq!(after.behind, None);
        assert!(settled(&after, "photo").is_none());
        let claimed = after.claim(&worker("w"), 1, NOW, &policies).unwrap();
        let failure = Failure { error: "no".into(), retryable: true };
        let failed = claimed.after.fail(&claimed.lease.id, failure, 0.0, NOW, &policies).unwrap().after;
        assert!(settled(&failed, "photo").is_none(), "it waits for its retry");
    }

    #[test]
    fn what_is_scheduled_waits_for_its_time_behind_all_that_is_due() {
        let policies = Policies::default();
        let mut later = entry("later");
        (later.due, later.scheduled) = (NOW + policies.lease.lease, true);
        later.priority = Priority::new(100).unwrap();
        let mut both = conversation(&[]);
        both.queue = Queue::new(vec![later.clone(), entry("now")]);
        assert_eq!(waiting(&both, "later", &policies), Waiting::Scheduled(later.due));
        let order: Vec<_> = both.in_order(NOW, &policies).iter().map(|e| e.message.as_str()).collect();
        assert_eq!(order, ["now", "later"]);
    }

    #[test]
    fn work_is_to_come_soon_when_it_is_due_or_a_retry_comes_before_the_idle_timeout() {
        let mut policies = Policies::default();
        policies.retry.jitter_ratio = 0.0;
        assert!(!conversation(&[]).has_work_soon(NOW, &policies));
        assert!(conversation(&["a"]).has_work_soon(NOW, &policies));
        let mut later = entry("later");
        (later.due, later.scheduled) = (NOW + policies.retry.base_delay, true);
        let mut scheduled = conversation(&[]);
        scheduled.queue = Queue::new(vec![later.clone()]);
        assert!(!scheduled.has_work_soon(NOW, &policies), "it is no retry");
        assert!(scheduled.has_work_soon(later.due, &policies));
        let retry_after = |wait: Millis| {
            let mut policies = policies.clone();
            (policies.retry.base_delay, policies.retry.max_delay) = (wait, wait);
            let claimed = conversation(&["a"]).claim(&worker("w"), 1, NOW, &policies).unwrap();
            let failure = Failure { error: "no".into(), retryable: true };
            claimed.after.fail(&claimed.lease.id, failure, 0.0, NOW, &policies).unwrap().after
        };
        let idle = policies.scaling.idle_timeout;
        assert!(retry_after(idle).has_work_soon(NOW, &policies));
        assert!(!retry_after(Millis::new(idle.as_millis() + 1)).has_work_soon(NOW, &policies));
    }
}
