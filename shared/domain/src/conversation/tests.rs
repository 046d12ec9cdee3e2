use super::*;
use crate::ids::MessageId;
use crate::policy::OnRetry;
use crate::time::Millis;

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
        attempts_max: 2,
        not_before: Timestamp::default(),
        first_fence: None,
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
        active_at: NOW,
    }
}

fn failure() -> Failure {
    Failure { error: "boom".into(), retryable: true }
}

#[test]
fn a_claim_raises_fence_and_attempt_and_makes_an_owner() {
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
fn one_lease_at_a_time_and_only_for_the_owner() {
    let policies = Policies::default();
    let claimed = conversation(&["a", "b"]).claim(&worker("w"), 7, NOW, &policies).unwrap().after;
    assert!(matches!(claimed.claim(&worker("w"), 8, NOW, &policies), Err(ClaimRefusal::Leased(_))));
    assert_eq!(claimed.claim(&worker("x"), 8, NOW, &policies).unwrap_err(), ClaimRefusal::OwnedByAnother);
    let owned = conversation(&["a"]).assigned_to(&worker("w"), NOW, &policies).unwrap();
    assert_eq!(owned.claim(&worker("x"), 8, NOW, &policies).unwrap_err(), ClaimRefusal::OwnedByAnother);
    assert!(!owned.claim(&worker("w"), 8, NOW, &policies).unwrap().becomes_owner);
}

#[test]
fn a_draining_owner_gets_no_new_work() {
    let policies = Policies::default();
    let mut owned = conversation(&["a"]).assigned_to(&worker("w"), NOW, &policies).unwrap();
    owned.owner.as_mut().unwrap().state = OwnerState::Draining;
    assert_eq!(owned.claim(&worker("w"), 8, NOW, &policies).unwrap_err(), ClaimRefusal::Draining);
}

#[test]
fn a_failed_message_goes_back_in_front_until_its_attempts_are_used_up() {
    let policies = Policies::default();
    let first = conversation(&["a", "b"]).claim(&worker("w"), 1, NOW, &policies).unwrap();
    let back = first.after.fail(&first.lease.id, failure(), 0.0, NOW, &policies).unwrap();
    assert_eq!(back.outcome, Outcome::Requeued { not_before: NOW + Millis::new(1_000) });
    assert_eq!(back.after.claim(&worker("w"), 2, NOW, &policies).unwrap_err(), ClaimRefusal::NothingDue);
    let later = NOW + Millis::new(1_000);
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
fn a_failure_that_no_retry_can_help_is_a_dead_letter_at_once() {
    let policies = Policies::default();
    let claimed = conversation(&["a"]).claim(&worker("w"), 1, NOW, &policies).unwrap();
    let failure = Failure { error: "bad".into(), retryable: false };
    let dead = claimed.after.fail(&claimed.lease.id, failure, 0.0, NOW, &policies).unwrap();
    assert_eq!(dead.outcome, Outcome::DeadLettered);
}

#[test]
fn an_old_lease_changes_nothing_and_a_repeated_call_is_recognised() {
    let policies = Policies::default();
    let first = conversation(&["a"]).claim(&worker("w"), 1, NOW, &policies).unwrap();
    let back = first.after.fail(&first.lease.id, failure(), 0.0, NOW, &policies).unwrap();
    let again = back.after.fail(&first.lease.id, failure(), 0.0, NOW, &policies).unwrap_err();
    assert_eq!(again, NotHeld::Settled(back.outcome));
    let later = NOW + Millis::new(5_000);
    let second = back.after.claim(&worker("w"), 2, later, &policies).unwrap();
    let done = second.after.fail(&second.lease.id, failure(), 0.0, later, &policies).unwrap();
    assert_eq!(
        done.after.fail(&first.lease.id, failure(), 0.0, later, &policies).unwrap_err(),
        NotHeld::Stale
    );
}

#[test]
fn only_an_expired_lease_or_a_gone_worker_is_recovered_and_the_attempt_stays_counted() {
    let policies = Policies::default();
    let claimed = conversation(&["a"]).claim(&worker("w"), 1, NOW, &policies).unwrap();
    assert!(claimed.after.recover(false, 0.0, NOW, &policies).is_none());
    let gone = claimed.after.recover(true, 0.0, NOW, &policies).unwrap();
    assert!(gone.error.contains("is gone"));
    let expired = claimed.after.recover(false, 0.0, NOW + policies.lease.lease, &policies).unwrap();
    assert!(expired.error.contains("lease expired"));
    assert_eq!(expired.entry.attempts, 1);
    let late = expired.after.fail(&claimed.lease.id, failure(), 0.0, NOW, &policies).unwrap_err();
    assert_eq!(late, NotHeld::Stale, "the holder's late call is no repetition");
    assert!(matches!(expired.outcome, Outcome::Requeued { .. }));
}

#[test]
fn letting_go_returns_the_conversation_to_the_ready_index() {
    let policies = Policies::default();
    let owned = conversation(&["a"]).assigned_to(&worker("w"), NOW, &policies).unwrap();
    assert!(owned.released_by(&worker("x"), NOW, &policies).is_none());
    let free = owned.released_by(&worker("w"), NOW, &policies).unwrap();
    assert!(free.owner.is_none() && free.ready.is_some());
    let running = owned.claim(&worker("w"), 1, NOW, &policies).unwrap().after;
    assert!(running.released_by(&worker("w"), NOW, &policies).is_none(), "not while a message runs");
}

#[test]
fn with_overtake_others_pass_a_waiting_retry() {
    let mut policies = Policies::default();
    policies.queue.on_retry = OnRetry::Overtake;
    let first = conversation(&["a", "b"]).claim(&worker("w"), 1, NOW, &policies).unwrap();
    let back = first.after.fail(&first.lease.id, failure(), 0.0, NOW, &policies).unwrap();
    let next = back.after.claim(&worker("w"), 2, NOW, &policies).unwrap();
    assert_eq!(next.lease.entry.message.as_str(), "b");
}
