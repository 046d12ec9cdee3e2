//! The reason why a message of this conversation waits, as far as the conversation knows.

use super::queue::Entry;
use super::state::{Conversation, Lease};
use crate::ids::MessageId;
use crate::policy::Policies;
use crate::time::Timestamp;

/// The reason why a message has not ended yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitReason<'a> {
    /// The message runs, under this lease.
    Completion(&'a Lease),
    /// The message waits until its retry is due at this moment.
    Retry(Timestamp),
    /// The message is scheduled for this moment.
    Scheduled(Timestamp),
    /// The message waits for its attachments. It runs without them from this moment.
    Attachments(Timestamp),
    /// Another message of the conversation runs.
    RunningMessage(&'a Lease),
    /// Another message of the conversation is ahead in the queue.
    EarlierMessage(&'a Entry),
    /// The message is next: the owner, or a worker that becomes the owner, may claim it now.
    Worker,
}

impl Conversation {
    /// Returns why `message` waits at `now`; `None` if the conversation does not name it.
    pub fn wait_reason(
        &self,
        message: &MessageId,
        now: Timestamp,
        policies: &Policies,
    ) -> Option<WaitReason<'_>> {
        if let Some(lease) = self.lease.as_ref().filter(|l| &l.entry.message == message) {
            return Some(WaitReason::Completion(lease));
        }
        let place = self.queue.entries().iter().position(|e| &e.message == message)?;
        let entry = &self.queue.entries()[place];
        if entry.waits_until() > now {
            let until = entry.waits_until();
            return Some(if entry.is_retry() {
                WaitReason::Retry(until)
            } else if entry.due > now {
                WaitReason::Scheduled(until)
            } else {
                WaitReason::Attachments(until)
            });
        }
        if let Some(lease) = &self.lease {
            return Some(WaitReason::RunningMessage(lease));
        }
        let first = self.in_order(now, policies).into_iter().next()?;
        Some(if &first.message == message { WaitReason::Worker } else { WaitReason::EarlierMessage(first) })
    }

    /// Whether a message is due, awaits attachments, or waits for a retry that is due before the idle timeout
    /// of the worker.
    pub fn has_work_soon(&self, now: Timestamp, policies: &Policies) -> bool {
        if self.is_held(now) {
            return false;
        }
        let soon = now + policies.scaling.idle_timeout;
        let comes_soon = |e: &Entry| {
            let is_at_hand = e.is_retry() || e.awaits_attachments(now);
            is_at_hand && e.waits_until() <= soon
        };
        self.readiness(now, policies).head.is_some() || self.queue.entries().iter().any(comes_soon)
    }

    /// Returns the conversation in which the attachments of `message` are settled; `None` if it does not wait for any. The
    /// message may still wait for more of them until `until`.
    #[must_use]
    pub fn without_attachment_wait(
        &self,
        message: &MessageId,
        until: Option<Timestamp>,
        now: Timestamp,
        policies: &Policies,
    ) -> Option<Self> {
        let place = self.queue.entries().iter().position(|e| &e.message == message)?;
        let waits = self.queue.entries()[place].awaits_attachments(now);
        let until = until.filter(|until| *until > now).unwrap_or_default();
        waits.then(|| self.changed(now, policies, |after| after.queue.wait_until(place, until)))
    }

    /// Returns the conversation in which the content of `message` has changed; `None` unless the message waits. With
    /// `until`, the message has new attachments and waits for them until then. A message that ran before cannot wait for
    /// attachments.
    #[must_use]
    pub fn with_revised(
        &self,
        message: &MessageId,
        until: Option<Timestamp>,
        now: Timestamp,
        policies: &Policies,
    ) -> Option<Self> {
        let place = self.queue.entries().iter().position(|e| &e.message == message)?;
        let entry = &self.queue.entries()[place];
        if until.is_some() && entry.is_retry() {
            return None;
        }
        let until = until.map_or(entry.not_before, |until| entry.not_before.max(until));
        Some(self.changed(now, policies, |after| {
            after.queue.wait_until(place, until);
            after.queue.revise(place);
        }))
    }

    /// The waiting messages in the order in which they would run if no message were added.
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

    fn waiting<'a>(conversation: &'a Conversation, message: &str, policies: &Policies) -> WaitReason<'a> {
        conversation.wait_reason(&MessageId::parse(message).unwrap(), NOW, policies).unwrap()
    }

    #[test]
    fn the_head_waits_for_a_worker_and_other_messages_wait_for_the_head() {
        let policies = Policies::default();
        let mut urgent = entry("b");
        urgent.priority = Priority::new(90).unwrap();
        let mut two = conversation(&["a"]);
        two.queue.push(urgent.clone());
        assert_eq!(waiting(&two, "b", &policies), WaitReason::Worker);
        assert_eq!(waiting(&two, "a", &policies), WaitReason::EarlierMessage(&urgent));
        let claimed = two.claim(&worker("w"), 1, NOW, &policies).unwrap();
        assert_eq!(waiting(&claimed.after, "b", &policies), WaitReason::Completion(&claimed.lease));
        assert_eq!(waiting(&claimed.after, "a", &policies), WaitReason::RunningMessage(&claimed.lease));
        assert_eq!(two.wait_reason(&MessageId::parse("c").unwrap(), NOW, &policies), None);
    }

    #[test]
    fn a_retry_waits_for_its_backoff_and_blocks_others_if_the_policy_says_so() {
        let mut policies = Policies::default();
        let claimed = conversation(&["a", "b"]).claim(&worker("w"), 1, NOW, &policies).unwrap();
        let failure = Failure { error: "no".into(), retryable: true, retry_after: None };
        let after = claimed.after.fail(&claimed.lease.id, failure, 0.0, NOW, &policies).unwrap().after;
        let retry = after.queue.entries()[0].clone();
        assert_eq!(waiting(&after, "a", &policies), WaitReason::Retry(retry.not_before));
        assert_eq!(waiting(&after, "b", &policies), WaitReason::EarlierMessage(&retry));
        policies.queue.on_retry = OnRetry::Overtake;
        assert_eq!(waiting(&after, "b", &policies), WaitReason::Worker);
    }

    #[test]
    fn a_message_waits_until_its_attachments_are_fetched_or_failed() {
        let policies = Policies::default();
        let mut photo = entry("photo");
        photo.not_before = NOW + MAX_WAIT;
        let mut before = conversation(&[]);
        before.queue = Queue::new(vec![photo.clone(), entry("next")]);
        before = before.with_keys_repaired(NOW, &policies).unwrap();
        assert_eq!(waiting(&before, "photo", &policies), WaitReason::Attachments(photo.not_before));
        assert_eq!(waiting(&before, "next", &policies), WaitReason::EarlierMessage(&photo));
        assert!(
            before.has_work_soon(NOW, &policies) && before.is_busy(NOW, &policies),
            "its worker should stay"
        );
        assert_eq!(before.claim(&worker("w"), 1, NOW, &policies).unwrap_err(), ClaimRefusal::NothingDue);
        let settled = |c: &Conversation, message| {
            c.without_attachment_wait(&MessageId::parse(message).unwrap(), None, NOW, &policies)
        };
        assert!(settled(&before, "next").is_none() && settled(&before, "gone").is_none());
        let after = settled(&before, "photo").unwrap();
        assert_eq!(
            (waiting(&after, "photo", &policies), after.version),
            (WaitReason::Worker, before.version + 1)
        );
        assert_eq!(after.behind, None);
        assert!(settled(&after, "photo").is_none());
        let claimed = after.claim(&worker("w"), 1, NOW, &policies).unwrap();
        let failure = Failure { error: "no".into(), retryable: true, retry_after: None };
        let failed = claimed.after.fail(&claimed.lease.id, failure, 0.0, NOW, &policies).unwrap().after;
        assert!(settled(&failed, "photo").is_none(), "it waits for its retry");
    }

    #[test]
    fn the_content_of_a_message_changes_only_while_it_waits() {
        let policies = Policies::default();
        let before = conversation(&["a", "b"]);
        let revised = |c: &Conversation, message: &str, until| {
            c.with_revised(&MessageId::parse(message).unwrap(), until, NOW, &policies)
        };
        let after = revised(&before, "b", None).unwrap();
        assert_eq!((after.version, after.queue.entries()[1].revised), (before.version + 1, true));
        let until = NOW + MAX_WAIT;
        let waits = revised(&before, "a", Some(until)).unwrap();
        assert_eq!(waiting(&waits, "a", &policies), WaitReason::Attachments(until));
        let settled = |until| {
            let message = MessageId::parse("a").unwrap();
            waits.without_attachment_wait(&message, until, NOW, &policies).unwrap().queue.entries()[0]
                .not_before
        };
        let open = NOW + Millis::from_secs(1);
        assert_eq!(
            (settled(None), settled(Some(NOW)), settled(Some(open))),
            (Timestamp::default(), Timestamp::default(), open)
        );
        let claimed = before.claim(&worker("w"), 1, NOW, &policies).unwrap();
        assert!(revised(&claimed.after, "a", None).is_none(), "it runs");
        let failure = Failure { error: "no".into(), retryable: true, retry_after: None };
        let failed = claimed.after.fail(&claimed.lease.id, failure, 0.0, NOW, &policies).unwrap().after;
        assert!(revised(&failed, "a", Some(until)).is_none(), "it waits for its retry, not for attachments");
        assert!(revised(&failed, "a", None).unwrap().queue.entries()[0].revised);
    }

    #[test]
    fn a_scheduled_message_waits_behind_all_due_messages() {
        let policies = Policies::default();
        let mut later = entry("later");
        (later.due, later.scheduled) = (NOW + policies.lease.lease, true);
        later.priority = Priority::new(100).unwrap();
        let mut both = conversation(&[]);
        both.queue = Queue::new(vec![later.clone(), entry("now")]);
        assert_eq!(waiting(&both, "later", &policies), WaitReason::Scheduled(later.due));
        let order: Vec<_> = both.in_order(NOW, &policies).iter().map(|e| e.message.as_str()).collect();
        assert_eq!(order, ["now", "later"]);
    }

    #[test]
    fn work_comes_soon_if_a_message_is_due_or_a_retry_is_due_before_the_idle_timeout() {
        let mut policies = Policies::default();
        policies.retry.jitter_ratio = 0.0;
        assert!(!conversation(&[]).has_work_soon(NOW, &policies));
        assert!(conversation(&["a"]).has_work_soon(NOW, &policies));
        let mut later = entry("later");
        (later.due, later.scheduled) = (NOW + policies.retry.base_delay, true);
        let mut scheduled = conversation(&[]);
        scheduled.queue = Queue::new(vec![later.clone()]);
        assert!(!scheduled.has_work_soon(NOW, &policies), "it is not a retry");
        assert!(scheduled.has_work_soon(later.due, &policies));
        let retry_after = |wait: Millis| {
            let mut policies = policies.clone();
            (policies.retry.base_delay, policies.retry.max_delay) = (wait, wait);
            let claimed = conversation(&["a"]).claim(&worker("w"), 1, NOW, &policies).unwrap();
            let failure = Failure { error: "no".into(), retryable: true, retry_after: None };
            claimed.after.fail(&claimed.lease.id, failure, 0.0, NOW, &policies).unwrap().after
        };
        let idle = policies.scaling.idle_timeout;
        assert!(retry_after(idle).has_work_soon(NOW, &policies));
        assert!(!retry_after(Millis::new(idle.as_millis() + 1)).has_work_soon(NOW, &policies));
    }
}
