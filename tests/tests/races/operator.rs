//! Operators against workers, recovery and each other: one wins, and the other is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use af_app::AppError;
use af_app::conversations::free;
use af_app::queue::{Cancelled, cancel, retry};
use af_app::worker::{complete, fail, heartbeat};
use af_domain::conversation::{Entry, Failure, Priority};
use af_domain::message::MessageStatus;
use af_domain::policy::Policies;
use af_domain::refusal::Code;
use af_domain::time::{Millis, Timestamp};
use af_domain::worker::WorkerStatus;
use af_emulator_aws::{Fault, Faults, WireRequest};
use af_store::conversation::{Commit, FailOutcome};
use af_tests::bundle::START;

use crate::world::{Held, World, conversation, without_words};

/// Past the end of a lease, and before its worker counts as stale.
const PAST_THE_LEASE: Millis = Millis::from_secs(91);
/// Past the first backoff.
const PAST_THE_BACKOFF: Millis = Millis::from_secs(2);

/// After so many transactions, the answer of the next one is lost.
struct LostAfter(AtomicI32);

impl Faults for LostAfter {
    fn before(&self, request: &WireRequest) -> Fault {
        let is_lost =
            request.operation == "TransactWriteItems" && self.0.fetch_sub(1, Ordering::Relaxed) == 0;
        if is_lost { Fault::LoseResponse } else { Fault::None }
    }
}

fn code<T>(answer: &Result<T, AppError>) -> Option<Code> {
    match answer {
        Err(AppError::Refused(refusal)) => Some(refusal.code),
        _ => None,
    }
}

async fn status(world: &World, held: &Held) -> MessageStatus {
    world.app.store.message(&held.message, world.app.now(), true).await.unwrap().unwrap().status
}

async fn dead_letter(world: &World) -> Held {
    let talk = conversation("talk");
    world.enqueue(&talk, None).await;
    let worker = world.worker("w", Some(&talk)).await;
    let held = world.claim(&worker, Some(&talk)).await;
    fail(&world.app, &worker, &held.message, &held.lease, "no", false).await.unwrap();
    held
}

async fn running(world: &World) -> Held {
    let talk = conversation("talk");
    world.enqueue(&talk, None).await;
    let worker = world.worker("w", Some(&talk)).await;
    world.claim(&worker, Some(&talk)).await
}

#[tokio::test]
async fn of_two_retries_one_queues_the_message_and_the_other_is_told() {
    let world = World::new().await;
    let held = dead_letter(&world).await;
    let (one, other) = tokio::join!(
        retry(&world.app, &held.message, None),
        retry(&world.app, &held.message, Some(("op", "k")))
    );
    assert_eq!([one.is_ok(), other.is_ok()].iter().filter(|won| **won).count(), 1, "{one:?} {other:?}");
    assert_eq!(code(&one).or(code(&other)), Some(Code::Conflict));
    assert_eq!(world.stored(&conversation("talk")).await.queue.len(), 1, "it runs once more, once");
}

#[tokio::test]
async fn a_retry_decided_on_an_old_death_does_not_commit() {
    let world = World::new().await;
    let (talk, policies) = (conversation("talk"), Policies::default());
    let held = dead_letter(&world).await;
    let old = world.app.store.message(&held.message, world.app.now(), true).await.unwrap().unwrap();
    retry(&world.app, &held.message, None).await.unwrap();
    world.bundle.clock.advance(Millis::new(1));
    let again = world.claim(&held.worker, Some(&talk)).await;
    fail(&world.app, &again.worker, &again.message, &again.lease, "no", false).await.unwrap();
    let before = world.stored(&talk).await;
    let entry = anew(&again);
    let after = before.with_retried(entry.clone(), world.app.now(), &policies).unwrap();
    let commit = world.app.store.retry_if_dead(&before, &after, &old, &entry, None, &policies).await.unwrap();
    assert!(matches!(commit, Commit::Stale));
    let commit = world.app.store.cancel_if_dead(&old, world.app.now(), &policies).await.unwrap();
    assert!(matches!(commit, Commit::Stale));
    assert_eq!(status(&world, &held).await, MessageStatus::DeadLetter);
}

fn anew(held: &Held) -> Entry {
    Entry {
        message: held.message.clone(),
        priority: Priority::new(50).unwrap(),
        due: START,
        scheduled: false,
        attempts: 0,
        drained: 0,
        max_attempts: 5,
        not_before: Timestamp::default(),
        first_fence: None,
    }
}

#[tokio::test]
async fn a_retry_whose_answer_was_lost_is_answered_when_it_comes_again() {
    let world = World::new().await;
    let held = dead_letter(&world).await;
    let troubled = world.troubled(Arc::new(LostAfter(AtomicI32::new(0))));
    let call = Some(("op", "k"));
    let lost = retry(&troubled, &held.message, call).await;
    assert!(code(&lost).is_none() && lost.is_err(), "{lost:?}");
    retry(&troubled, &held.message, call).await.unwrap();
    assert_eq!(world.stored(&conversation("talk")).await.queue.len(), 1);
}

#[tokio::test]
async fn a_cancellation_whose_answer_was_lost_is_answered_when_it_comes_again() {
    let world = World::new().await;
    let talk = conversation("talk");
    let waiting = world.enqueue(&talk, None).await;
    let troubled = world.troubled(Arc::new(LostAfter(AtomicI32::new(0))));
    cancel(&troubled, &waiting).await.unwrap_err();
    assert_eq!(cancel(&troubled, &waiting).await.unwrap(), Cancelled::AtOnce);
    assert!(world.stored(&talk).await.queue.is_empty());
}

#[tokio::test]
async fn a_message_that_is_claimed_while_it_is_cancelled_is_stopped_through_its_worker() {
    let world = World::new().await;
    let (talk, policies) = (conversation("talk"), Policies::default());
    let message = world.enqueue(&talk, None).await;
    let seen = world.stored(&talk).await;
    let worker = world.worker("w", None).await;
    let held = world.claim(&worker, None).await;
    let now = world.app.now();
    let after = seen.without(&message, now, &policies).unwrap();
    let commit = world.app.store.cancel_if_waiting(&seen, &after, &message, now, &policies).await.unwrap();
    assert!(matches!(commit, Commit::Stale), "the claim was faster");
    assert_eq!(cancel(&world.app, &message).await.unwrap(), Cancelled::WhenItsAttemptEnds);
    let beat = heartbeat(&world.app, &worker, &message, &held.lease, None).await.unwrap();
    assert!(beat.held && beat.cancelled);
}

#[tokio::test]
async fn a_message_that_is_cancelled_while_it_is_claimed_is_not_handed_out() {
    let world = World::new().await;
    let (talk, policies) = (conversation("talk"), Policies::default());
    let message = world.enqueue(&talk, None).await;
    let worker = world.worker("w", Some(&talk)).await;
    let seen = world.stored(&talk).await;
    let claimed = seen.claim(&worker, 7, world.app.now(), &policies).unwrap();
    assert_eq!(cancel(&world.app, &message).await.unwrap(), Cancelled::AtOnce);
    let commit = world.app.store.claim_if_owned(&seen, &claimed, &policies).await.unwrap();
    assert!(matches!(commit, Commit::Stale), "the cancellation was faster");
    assert!(world.poll(&world.app, &worker, Some(&talk)).await.job.is_none());
}

#[tokio::test]
async fn a_cancellation_after_the_completion_is_told_that_it_came_too_late() {
    let world = World::new().await;
    let held = running(&world).await;
    let seen = world.stored(&conversation("talk")).await;
    world.complete(&held).await;
    let commit = world.app.store.cancel_if_leased(&seen).await.unwrap();
    assert!(matches!(commit, Commit::Stale));
    assert_eq!(code(&cancel(&world.app, &held.message).await), Some(Code::Conflict));
    assert_eq!(status(&world, &held).await, MessageStatus::Done);
}

#[tokio::test]
async fn a_completion_after_the_cancellation_ends_cancelled_however_often_it_comes() {
    let world = World::new().await;
    let held = running(&world).await;
    cancel(&world.app, &held.message).await.unwrap();
    // The first is refused for the mark, the second is carried out.
    let troubled = world.troubled(Arc::new(LostAfter(AtomicI32::new(1))));
    for app in [&troubled, &world.app, &world.app] {
        let ended = complete(app, &held.worker, &held.message, &held.lease, without_words()).await;
        assert!(ended.is_ok() || code(&ended).is_none(), "{ended:?}");
    }
    assert_eq!(status(&world, &held).await, MessageStatus::Cancelled);
}

#[tokio::test]
async fn a_failure_decided_before_the_cancellation_does_not_undo_it() {
    let world = World::new().await;
    let (talk, policies) = (conversation("talk"), Policies::default());
    let held = running(&world).await;
    let seen = world.stored(&talk).await;
    let failure = Failure { error: "no".into(), retryable: true };
    let now = world.app.now();
    let back = seen.fail(&held.lease, failure, 0.0, now, &policies).unwrap();
    cancel(&world.app, &held.message).await.unwrap();
    let commit = world.app.store.fail_if_unchanged(&seen, &back, false, now, &policies).await.unwrap();
    assert_eq!(commit, FailOutcome::Stale);
    let failed = fail(&world.app, &held.worker, &held.message, &held.lease, "no", true).await.unwrap();
    assert!(!failed.requeued && !failed.dead_lettered);
    assert_eq!(status(&world, &held).await, MessageStatus::Cancelled);
}

#[tokio::test]
async fn a_cancelled_message_whose_worker_died_is_not_run_again() {
    let world = World::new().await;
    let held = running(&world).await;
    cancel(&world.app, &held.message).await.unwrap();
    world.bundle.clock.advance(PAST_THE_LEASE);
    world.reconcile(&world.app).await;
    assert_eq!(status(&world, &held).await, MessageStatus::Cancelled);
    let stored = world.stored(&conversation("talk")).await;
    assert!(stored.queue.is_empty() && stored.lease.is_none());
}

#[tokio::test]
async fn a_worker_whose_conversation_was_freed_is_told_by_whatever_it_calls_next() {
    let world = World::new().await;
    let talk = conversation("talk");
    let held = running(&world).await;
    let freed = free(&world.app, &talk, "it hangs", None).await.unwrap();
    assert_eq!(freed.worker, Some(held.worker.clone()));
    let beat = heartbeat(&world.app, &held.worker, &held.message, &held.lease, None).await.unwrap();
    assert!(!beat.held);
    let late = complete(&world.app, &held.worker, &held.message, &held.lease, without_words()).await;
    assert_eq!(code(&late), Some(Code::StaleLease));
    let late = fail(&world.app, &held.worker, &held.message, &held.lease, "no", true).await;
    assert_eq!(code(&late), Some(Code::StaleLease));
    let polled = world.poll(&world.app, &held.worker, Some(&talk)).await;
    assert!(polled.control.should_stop && polled.job.is_none());
    world.bundle.clock.advance(PAST_THE_BACKOFF);
    let other = world.worker("v", None).await;
    assert_eq!(world.claim(&other, None).await.message, held.message);
}

#[tokio::test]
async fn freeing_after_the_completion_takes_only_the_owner_away() {
    let world = World::new().await;
    let talk = conversation("talk");
    let held = running(&world).await;
    let (seen, policies, now) = (world.stored(&talk).await, Policies::default(), world.app.now());
    let decided = seen.freed("it hangs", 0.0, now, &policies).unwrap();
    world.complete(&held).await;
    let commit = world.app.store.free_if_unchanged(&seen, &decided, None, now, &policies).await.unwrap();
    assert!(matches!(commit, Commit::Stale), "the completion was faster");
    let freed = free(&world.app, &talk, "it hangs", None).await.unwrap();
    assert_eq!((freed.worker, freed.message), (Some(held.worker.clone()), None));
    assert_eq!(status(&world, &held).await, MessageStatus::Done);
}

#[tokio::test]
async fn a_heartbeat_does_not_save_a_lease_from_its_operator() {
    let world = World::new().await;
    let talk = conversation("talk");
    let held = running(&world).await;
    let (seen, policies, now) = (world.stored(&talk).await, Policies::default(), world.app.now());
    let decided = seen.freed("it hangs", 0.0, now, &policies).unwrap();
    assert!(heartbeat(&world.app, &held.worker, &held.message, &held.lease, None).await.unwrap().held);
    let commit = world.app.store.free_if_unchanged(&seen, &decided, None, now, &policies).await.unwrap();
    assert!(matches!(commit, Commit::Done));
    assert!(!heartbeat(&world.app, &held.worker, &held.message, &held.lease, None).await.unwrap().held);
}

#[tokio::test]
async fn freeing_twice_hits_one_claim_only() {
    let world = World::new().await;
    let talk = conversation("talk");
    let held = running(&world).await;
    let fence = Some(held.lease.parts().fence);
    let (one, other) = tokio::join!(free(&world.app, &talk, "a", fence), free(&world.app, &talk, "b", fence));
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    assert_eq!(code(&one).or(code(&other)), Some(Code::Conflict));
    world.bundle.clock.advance(PAST_THE_BACKOFF);
    let next = world.worker("v", None).await;
    let again = world.claim(&next, None).await;
    assert_eq!(code(&free(&world.app, &talk, "a", fence).await), Some(Code::Conflict));
    assert!(world.stored(&talk).await.holds(&again.lease));
}

#[tokio::test]
async fn a_worker_that_was_freed_of_its_conversation_goes_with_the_next_reconcile() {
    let world = World::new().await;
    let talk = conversation("talk");
    let held = running(&world).await;
    free(&world.app, &talk, "it hangs", None).await.unwrap();
    let row = world.app.store.worker(&held.worker).await.unwrap().unwrap();
    assert!(matches!(row.status, WorkerStatus::Draining { .. }) && row.assignment.is_none());
    world.reconcile(&world.app).await;
    assert!(world.app.store.worker(&held.worker).await.unwrap().is_none());
}
