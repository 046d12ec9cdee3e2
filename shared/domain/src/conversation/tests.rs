use super::*;
use crate::ids::{AgentKey, ConversationId, ConversationKey, Fence, MessageId, WorkerId};
use crate::policy::{OnRetry, Policies};
use crate::time::{Millis, Timestamp};

pub(super) const NOW: Timestamp = Timestamp::from_millis(1_000_000);

pub(super) fn worker(name: &str) -> WorkerId {
    WorkerId::parse(name).unwrap()
}

pub(super) fn entry(id: &str) -> Entry {
    Entry {
        message: MessageId::parse(id).unwrap(),
        priority: Priority::new(50).unwrap(),
        due: NOW,
        scheduled: false,
        attempts: 0,
        drained: 0,
        max_attempts: 2,
        not_before: Timestamp::default(),
        first_fence: None,
        revised: false,
    }
}

pub(super) fn conversation(messages: &[&str]) -> Conversation {
    Conversation {
        id: ConversationId::parse("c").unwrap(),
        key: ConversationKey::parse("abcdefghijklmnopqrstuvwx23").unwrap(),
        agent: AgentKey::parse("demo").unwrap(),
        fence: Fence(0),
        version: 1,
        queue: Queue::new(messages.iter().map(|m| entry(m)).collect()),
        lease: None,
        owner: None,
        last: None,
        ready: None,
        behind: None,
        held_until: None,
        active_at: NOW,
    }
}

fn failure() -> Failure {
    Failure { error: "boom".into(), retryable: true, retry_after: None }
}

#[test]
fn a_claim_increments_fence_and_attempt_and_assigns_an_owner() {
    let policies = Policies::default();
    let claimed = conversation(&["a", "b"]).claim(&worker("w"), 7, NOW, &policies).unwrap();
    assert!(claimed.becomes_owner);
    assert_eq!((claimed.after.fence, claimed.lease.entry.attempts), (Fence(1), 1));
    assert_eq!(claimed.lease.id.parts().fence, Fence(1));
    assert_eq!(claimed.after.running().unwrap().as_str(), "a");
    assert_eq!(claimed.after.queue.len(), 1);
    assert_eq!(claimed.after.version, 2);
}

#[test]
fn a_conversation_has_one_lease_and_only_its_owner_may_claim() {
    let policies = Policies::default();
    let claimed = conversation(&["a", "b"]).claim(&worker("w"), 7, NOW, &policies).unwrap().after;
    assert!(matches!(claimed.claim(&worker("w"), 8, NOW, &policies), Err(ClaimRefusal::Leased(_))));
    assert_eq!(claimed.claim(&worker("x"), 8, NOW, &policies).unwrap_err(), ClaimRefusal::OwnedByAnother);
    let owned = conversation(&["a"]).assigned_to(&worker("w"), NOW, &policies).unwrap();
    assert_eq!(owned.claim(&worker("x"), 8, NOW, &policies).unwrap_err(), ClaimRefusal::OwnedByAnother);
    assert!(!owned.claim(&worker("w"), 8, NOW, &policies).unwrap().becomes_owner);
}

#[test]
fn a_draining_owner_cannot_claim() {
    let policies = Policies::default();
    let mut owned = conversation(&["a"]).assigned_to(&worker("w"), NOW, &policies).unwrap();
    owned.owner.as_mut().unwrap().state = OwnerState::Draining;
    assert_eq!(owned.claim(&worker("w"), 8, NOW, &policies).unwrap_err(), ClaimRefusal::Draining);
}

#[test]
fn a_failed_message_is_requeued_in_front_until_its_attempts_are_exhausted() {
    let policies = Policies::default();
    let first = conversation(&["a", "b"]).claim(&worker("w"), 1, NOW, &policies).unwrap();
    let back = first.after.fail(&first.lease.id, failure(), 0.0, NOW, &policies).unwrap();
    assert_eq!(back.outcome, Outcome::Requeued { not_before: NOW + Millis::new(2_000) });
    assert_eq!(back.after.claim(&worker("w"), 2, NOW, &policies).unwrap_err(), ClaimRefusal::NothingDue);
    let later = NOW + Millis::new(2_000);
    let second = back.after.claim(&worker("w"), 2, later, &policies).unwrap();
    assert_eq!((second.lease.entry.message.as_str(), second.lease.entry.attempts), ("a", 2));
    assert_eq!(
        second.lease.entry.first_fence,
        Some(Fence(1)),
        "its history stays filed under the first claim"
    );
    let dead = second.after.fail(&second.lease.id, failure(), 0.0, later, &policies).unwrap();
    assert_eq!(dead.outcome, Outcome::DeadLettered);
    assert_eq!(
        dead.after.claim(&worker("w"), 3, later, &policies).unwrap().lease.entry.message.as_str(),
        "b"
    );
}

#[test]
fn a_failure_that_is_not_retryable_makes_a_dead_letter_at_once() {
    let policies = Policies::default();
    let claimed = conversation(&["a"]).claim(&worker("w"), 1, NOW, &policies).unwrap();
    let failure = Failure { error: "bad".into(), retryable: false, retry_after: None };
    let dead = claimed.after.fail(&claimed.lease.id, failure, 0.0, NOW, &policies).unwrap();
    assert_eq!(dead.outcome, Outcome::DeadLettered);
}

#[test]
fn an_old_lease_changes_nothing_and_a_repeated_call_is_recognised() {
    let policies = Policies::default();
    let first = conversation(&["a"]).claim(&worker("w"), 1, NOW, &policies).unwrap();
    let back = first.after.fail(&first.lease.id, failure(), 0.0, NOW, &policies).unwrap();
    let again = back.after.fail(&first.lease.id, failure(), 0.0, NOW, &policies).unwrap_err();
    assert_eq!(again, LeaseError::AlreadyEnded(back.outcome));
    let later = NOW + Millis::new(5_000);
    let second = back.after.claim(&worker("w"), 2, later, &policies).unwrap();
    let done = second.after.fail(&second.lease.id, failure(), 0.0, later, &policies).unwrap();
    assert_eq!(
        done.after.fail(&first.lease.id, failure(), 0.0, later, &policies).unwrap_err(),
        LeaseError::Stale
    );
}

#[test]
fn the_longest_wait_counts_messages_behind_a_running_one_and_not_the_time_of_a_hold() {
    let policies = Policies::default();
    let claimed = conversation(&["a", "b"]).claim(&worker("w"), 1, NOW, &policies).unwrap();
    let later = NOW + policies.lease.lease;
    assert_eq!(claimed.after.waiting_since(later), Some(NOW), "b waits behind a");
    let mut held = conversation(&["a"]);
    held.held_until = Some(later);
    assert_eq!(held.waiting_since(NOW), None);
    assert_eq!((held.waiting_since(later), held.due_since(later, &policies)), (Some(later), Some(later)));
}

#[test]
fn a_run_that_is_too_long_ends_as_a_dead_letter_and_the_next_message_runs() {
    let policies = Policies::default();
    let claimed = conversation(&["long", "next"]).claim(&worker("w"), 1, NOW, &policies).unwrap();
    let mut running = claimed.after;
    let end = NOW + policies.lease.max_run;
    running.lease.as_mut().unwrap().expires_at = end + policies.lease.lease;
    let recover = |now| running.recover(RecoverCause::RunTimeout, 0.0, now, &policies);
    assert!(recover(NOW + Millis::new(policies.lease.max_run.as_millis() - 1)).is_none());
    let ended = recover(end).unwrap();
    assert!(ended.error.starts_with("run_timeout"), "{}", ended.error);
    assert_eq!(
        ended.outcome,
        Outcome::DeadLettered,
        "a retry would block the conversation for as long again"
    );
    assert_eq!((ended.entry.attempts, ended.entry.message.as_str()), (1, "long"));
    let late = ended.after.fail(&claimed.lease.id, failure(), 0.0, end, &policies).unwrap_err();
    assert_eq!(late, LeaseError::Stale);
    let next = ended.after.claim(&worker("w"), 2, end, &policies).unwrap();
    assert_eq!(next.lease.entry.message.as_str(), "next");
}

#[test]
fn only_an_expired_lease_or_a_gone_worker_is_recovered_and_the_attempt_stays_counted() {
    let policies = Policies::default();
    let claimed = conversation(&["a"]).claim(&worker("w"), 1, NOW, &policies).unwrap();
    assert!(claimed.after.recover(RecoverCause::Expired, 0.0, NOW, &policies).is_none());
    let gone = claimed.after.recover(RecoverCause::WorkerGone, 0.0, NOW, &policies).unwrap();
    assert!(gone.error.contains("is gone"));
    let expired =
        claimed.after.recover(RecoverCause::Expired, 0.0, NOW + policies.lease.lease, &policies).unwrap();
    assert!(expired.error.contains("lease expired"));
    assert_eq!(expired.entry.attempts, 1);
    let late = expired.after.fail(&claimed.lease.id, failure(), 0.0, NOW, &policies).unwrap_err();
    assert_eq!(late, LeaseError::Stale, "the holder's late call is no repetition");
    assert!(matches!(expired.outcome, Outcome::Requeued { .. }));
}

#[test]
fn release_returns_the_conversation_to_the_ready_index() {
    let policies = Policies::default();
    let owned = conversation(&["a"]).assigned_to(&worker("w"), NOW, &policies).unwrap();
    assert!(owned.released_by(&worker("x"), NOW, &policies).is_none());
    let free = owned.released_by(&worker("w"), NOW, &policies).unwrap();
    assert!(free.owner.is_none() && free.ready.is_some());
    let running = owned.claim(&worker("w"), 1, NOW, &policies).unwrap().after;
    assert!(running.released_by(&worker("w"), NOW, &policies).is_none(), "not while a message runs");
}

#[test]
fn with_overtake_other_messages_run_before_a_waiting_retry() {
    let mut policies = Policies::default();
    policies.queue.on_retry = OnRetry::Overtake;
    let first = conversation(&["a", "b"]).claim(&worker("w"), 1, NOW, &policies).unwrap();
    let back = first.after.fail(&first.lease.id, failure(), 0.0, NOW, &policies).unwrap();
    let next = back.after.claim(&worker("w"), 2, NOW, &policies).unwrap();
    assert_eq!(next.lease.entry.message.as_str(), "b");
}

fn draining(mut conversation: Conversation) -> Conversation {
    conversation.owner.as_mut().unwrap().state = OwnerState::Draining;
    conversation
}

#[test]
fn a_drain_counts_no_attempt_and_adds_no_backoff_at_most_three_times() {
    let policies = Policies::default();
    let mut waiting = conversation(&["a", "b"]);
    for drain in 1..=MAX_UNCOUNTED_DRAINS {
        let claimed = waiting.claim(&worker("w"), 1, NOW, &policies).unwrap();
        let back = draining(claimed.after).recover(RecoverCause::Drained, 0.0, NOW, &policies).unwrap();
        assert_eq!((back.entry.attempts, back.entry.attempts_counted()), (drain, 0));
        assert_eq!(back.outcome, Outcome::Requeued { not_before: NOW });
        assert!(back.error.starts_with("drained"));
        waiting = back.after.released_by(&worker("w"), NOW, &policies).unwrap();
        let head = waiting.readiness(NOW, &policies).head.unwrap();
        assert_eq!(waiting.queue.entries()[head].message.as_str(), "a", "it keeps its place");
    }
    let claimed = waiting.claim(&worker("w"), 1, NOW, &policies).unwrap();
    let (id, after) = (claimed.lease.id, draining(claimed.after));
    let counted = after.fail_drained(&id, "gone".into(), 0.0, NOW, &policies).unwrap();
    assert_eq!(counted.entry.attempts_counted(), 1);
    assert!(counted.entry.not_before > NOW);
}

#[test]
fn an_attempt_counts_when_its_worker_was_not_drained() {
    let policies = Policies::default();
    let claimed = conversation(&["a"]).claim(&worker("w"), 1, NOW, &policies).unwrap();
    assert!(claimed.after.recover(RecoverCause::Drained, 0.0, NOW, &policies).is_none());
    let said = claimed.after.fail_drained(&claimed.lease.id, "bye".into(), 0.0, NOW, &policies).unwrap();
    assert_eq!((said.entry.attempts_counted(), said.error.as_str()), (1, "bye"));
    let late = NOW + policies.lease.lease;
    let silent = draining(claimed.after).recover(RecoverCause::Drained, 0.0, late, &policies).unwrap();
    assert_eq!(silent.entry.attempts_counted(), 1, "its lease had expired");
}

fn consistent() -> RelatedState {
    RelatedState { owner_has_row: true, ended: [].into(), in_ready_index: false }
}

#[test]
fn the_system_s_own_transitions_leave_no_problem() {
    let policies = Policies::default();
    let listed = RelatedState { in_ready_index: true, ..consistent() };
    let waiting = conversation(&["a", "b"]).with_keys_repaired(NOW, &policies).unwrap();
    assert_eq!(waiting.problems(&listed, NOW, &policies), []);
    let claimed = waiting.claim(&worker("w"), 1, NOW, &policies).unwrap();
    assert_eq!(claimed.after.problems(&consistent(), NOW, &policies), []);
    let back = claimed.after.fail(&claimed.lease.id, failure(), 0.0, NOW, &policies).unwrap();
    assert_eq!(back.after.problems(&consistent(), NOW, &policies), []);
    let free = back.after.released_by(&worker("w"), NOW, &policies).unwrap();
    assert_eq!(free.problems(&listed, NOW, &policies), []);
    // The ready key is past its time and was not promoted yet. A query for due conversations finds it.
    assert_eq!(free.problems(&listed, NOW + Millis::from_secs(100), &policies), []);
}

#[test]
fn each_repair_removes_its_problem_and_all_repairs_leave_none() {
    let policies = Policies::default();
    let claimed = conversation(&["a", "b", "c"]).claim(&worker("w"), 1, NOW, &policies).unwrap().after;
    let gone = |id: &str| MessageId::parse(id).unwrap();
    let mut related = RelatedState { ended: [gone("a"), gone("c")].into(), ..RelatedState::default() };
    let mut now = claimed;
    for expected in ["names message a", "exist or have ended: c", "worker w, has no row", "ready index"] {
        let problems = now.problems(&related, NOW, &policies);
        assert!(problems[0].to_string().contains(expected), "{expected}: {problems:?}");
        now = match now.repair_for(&problems[0], NOW, &policies) {
            Repair::Forget { after, .. } | Repair::Free { after, .. } | Repair::Reindex(after) => after,
            Repair::Recover(_) => panic!("a message that has ended is not queued again"),
        };
    }
    related.in_ready_index = true;
    assert_eq!(now.problems(&related, NOW, &policies), []);
    assert_eq!(now.queue.len(), 1);
}

#[test]
fn a_retry_waits_for_the_longer_of_its_backoff_and_the_retry_after_of_at_most_six_hours() {
    let policies = Policies::default();
    let retry_at = |retry_after| {
        let claimed = conversation(&["a"]).claim(&worker("w"), 1, NOW, &policies).unwrap();
        let failure = Failure { retry_after, ..failure() };
        claimed.after.fail(&claimed.lease.id, failure, 0.0, NOW, &policies).unwrap().entry.not_before
    };
    let backoff = NOW + policies.retry_delay(1, 0.0);
    assert_eq!(retry_at(None), backoff);
    assert_eq!(retry_at(Some(Millis::new(1))), backoff);
    assert_eq!(retry_at(Some(Millis::from_secs(7_200))), NOW + Millis::from_secs(7_200));
    assert_eq!(retry_at(Some(Millis::new(u64::MAX))), NOW + Millis::from_secs(6 * 3_600));
}
