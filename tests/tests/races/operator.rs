//! Races between operators, workers and recovery: one call takes effect, and the other is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use af_app::AppError;
use af_app::conversations::free;
use af_app::queue::{Cancelled, cancel, retry};
use af_app::worker::{DeliveredBy, Retry, complete, fail, heartbeat};
use af_domain::conversation::{Entry, Failure, Priority};
use af_domain::message::MessageStatus;
use af_domain::policy::Policies;
use af_domain::refusal::Code;
use af_domain::time::{Millis, Timestamp};
use af_domain::worker::WorkerStatus;
use af_emulator_aws::{Fault, Faults, WireRequest};
use af_store::conversation::{Commit, FailOutcome};
use af_tests::bundle::START;

use crate::world::{RunningMessage, World, conversation_id, empty_completion};

/// A time after the end of a lease and before its worker is stale.
const PAST_THE_LEASE: Millis = Millis::from_secs(91);
/// A time after the first backoff.
const PAST_THE_BACKOFF: Millis = Millis::from_secs(3);

/// Loses the answer of one transaction, after this many others.
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

async fn status(world: &World, running: &RunningMessage) -> MessageStatus {
    world.app.store.message(&running.message, world.app.now(), true).await.unwrap().unwrap().status
}

async fn dead_letter(world: &World) -> RunningMessage {
    let conversation = conversation_id("talk");
    world.enqueue(&conversation, None).await;
    let worker = world.worker("w", Some(&conversation)).await;
    let running = world.claim(&worker, Some(&conversation)).await;
    fail(&world.app, &worker, &running.message, &running.lease, "no", Retry::Never).await.unwrap();
    running
}

async fn running_message(world: &World) -> RunningMessage {
    let conversation = conversation_id("talk");
    world.enqueue(&conversation, None).await;
    let worker = world.worker("w", Some(&conversation)).await;
    world.claim(&worker, Some(&conversation)).await
}

#[tokio::test]
async fn of_two_concurrent_retries_one_queues_the_message_and_the_other_is_a_conflict() {
    let world = World::new().await;
    let running = dead_letter(&world).await;
    let (one, other) = tokio::join!(
        retry(&world.app, &running.message, None),
        retry(&world.app, &running.message, Some(("op", "k")))
    );
    assert_eq!([one.is_ok(), other.is_ok()].iter().filter(|is_ok| **is_ok).count(), 1, "{one:?} {other:?}");
    assert_eq!(code(&one).or(code(&other)), Some(Code::Conflict));
    assert_eq!(world.stored(&conversation_id("talk")).await.queue.len(), 1, "the message waits once");
}

#[tokio::test]
async fn a_retry_decided_on_an_earlier_dead_letter_does_not_commit() {
    let world = World::new().await;
    let (conversation, policies) = (conversation_id("talk"), Policies::default());
    let running = dead_letter(&world).await;
    let old = world.app.store.message(&running.message, world.app.now(), true).await.unwrap().unwrap();
    retry(&world.app, &running.message, None).await.unwrap();
    world.bundle.clock.advance(Millis::new(1));
    let again = world.claim(&running.worker, Some(&conversation)).await;
    fail(&world.app, &again.worker, &again.message, &again.lease, "no", Retry::Never).await.unwrap();
    let before = world.stored(&conversation).await;
    let entry = new_entry(&again);
    let after = before.with_retried(entry.clone(), world.app.now(), &policies).unwrap();
    let commit = world.app.store.retry_if_dead(&before, &after, &old, &entry, None, &policies).await.unwrap();
    assert!(matches!(commit, Commit::Stale));
    let commit = world.app.store.cancel_if_dead(&old, world.app.now(), &policies).await.unwrap();
    assert!(matches!(commit, Commit::Stale));
    assert_eq!(status(&world, &running).await, MessageStatus::DeadLetter);
}

fn new_entry(running: &RunningMessage) -> Entry {
    Entry {
        message: running.message.clone(),
        priority: Priority::new(50).unwrap(),
        due: START,
        scheduled: false,
        attempts: 0,
        drained: 0,
        max_attempts: 5,
        not_before: Timestamp::default(),
        first_fence: None,
        revised: false,
    }
}

#[tokio::test]
async fn a_repeated_retry_gets_the_answer_that_was_lost() {
    let world = World::new().await;
    let running = dead_letter(&world).await;
    let faulty = world.with_faults(Arc::new(LostAfter(AtomicI32::new(0))));
    let call = Some(("op", "k"));
    let lost = retry(&faulty, &running.message, call).await;
    assert!(code(&lost).is_none() && lost.is_err(), "{lost:?}");
    retry(&faulty, &running.message, call).await.unwrap();
    assert_eq!(world.stored(&conversation_id("talk")).await.queue.len(), 1);
}

#[tokio::test]
async fn a_repeated_cancellation_gets_the_answer_that_was_lost() {
    let world = World::new().await;
    let conversation = conversation_id("talk");
    let waiting = world.enqueue(&conversation, None).await;
    let faulty = world.with_faults(Arc::new(LostAfter(AtomicI32::new(0))));
    cancel(&faulty, &waiting).await.unwrap_err();
    assert_eq!(cancel(&faulty, &waiting).await.unwrap(), Cancelled::AtOnce);
    assert!(world.stored(&conversation).await.queue.is_empty());
}

#[tokio::test]
async fn a_cancellation_after_a_concurrent_claim_stops_the_worker() {
    let world = World::new().await;
    let (conversation, policies) = (conversation_id("talk"), Policies::default());
    let message = world.enqueue(&conversation, None).await;
    let seen = world.stored(&conversation).await;
    let worker = world.worker("w", None).await;
    let running = world.claim(&worker, None).await;
    let now = world.app.now();
    let after = seen.without(&message, now, &policies).unwrap();
    let commit = world.app.store.cancel_if_waiting(&seen, &after, &message, now, &policies).await.unwrap();
    assert!(matches!(commit, Commit::Stale), "the claim was faster");
    assert_eq!(cancel(&world.app, &message).await.unwrap(), Cancelled::WhenItsAttemptEnds);
    let answer = heartbeat(&world.app, &worker, &message, &running.lease, None).await.unwrap();
    assert!(answer.held && answer.cancelled);
}

#[tokio::test]
async fn a_claim_after_a_concurrent_cancellation_gets_no_message() {
    let world = World::new().await;
    let (conversation, policies) = (conversation_id("talk"), Policies::default());
    let message = world.enqueue(&conversation, None).await;
    let worker = world.worker("w", Some(&conversation)).await;
    let seen = world.stored(&conversation).await;
    let claimed = seen.claim(&worker, 7, world.app.now(), &policies).unwrap();
    assert_eq!(cancel(&world.app, &message).await.unwrap(), Cancelled::AtOnce);
    let commit = world.app.store.claim_if_owned(&seen, &claimed, &policies).await.unwrap();
    assert!(matches!(commit, Commit::Stale), "the cancellation was faster");
    assert!(world.poll(&world.app, &worker, Some(&conversation)).await.job.is_none());
}

#[tokio::test]
async fn a_cancellation_after_the_completion_is_a_conflict() {
    let world = World::new().await;
    let running = running_message(&world).await;
    let seen = world.stored(&conversation_id("talk")).await;
    world.complete(&running).await;
    let commit = world.app.store.cancel_if_leased(&seen).await.unwrap();
    assert!(matches!(commit, Commit::Stale));
    assert_eq!(code(&cancel(&world.app, &running.message).await), Some(Code::Conflict));
    assert_eq!(status(&world, &running).await, MessageStatus::Done);
}

#[tokio::test]
async fn a_repeated_completion_after_a_cancellation_leaves_the_message_cancelled() {
    let world = World::new().await;
    let running = running_message(&world).await;
    cancel(&world.app, &running.message).await.unwrap();
    // The first transaction is refused because of the cancellation. The second one takes effect.
    let faulty = world.with_faults(Arc::new(LostAfter(AtomicI32::new(1))));
    for app in [&faulty, &world.app, &world.app] {
        let ended = complete(
            app,
            &running.worker,
            &running.message,
            &running.lease,
            empty_completion(),
            DeliveredBy::Worker,
        )
        .await;
        assert!(ended.is_ok() || code(&ended).is_none(), "{ended:?}");
    }
    assert_eq!(status(&world, &running).await, MessageStatus::Cancelled);
}

#[tokio::test]
async fn a_failure_decided_before_a_cancellation_does_not_undo_it() {
    let world = World::new().await;
    let (conversation, policies) = (conversation_id("talk"), Policies::default());
    let running = running_message(&world).await;
    let seen = world.stored(&conversation).await;
    let failure = Failure { error: "no".into(), retryable: true, retry_after: None };
    let now = world.app.now();
    let back = seen.fail(&running.lease, failure, 0.0, now, &policies).unwrap();
    cancel(&world.app, &running.message).await.unwrap();
    let commit = world.app.store.fail_if_unchanged(&seen, &back, false, now, &policies, None).await.unwrap();
    assert_eq!(commit, FailOutcome::Stale);
    let failed =
        fail(&world.app, &running.worker, &running.message, &running.lease, "no", Retry::After(None))
            .await
            .unwrap();
    assert!(!failed.requeued && !failed.dead_lettered);
    assert_eq!(status(&world, &running).await, MessageStatus::Cancelled);
}

#[tokio::test]
async fn a_cancelled_message_whose_lease_expired_does_not_run_again() {
    let world = World::new().await;
    let running = running_message(&world).await;
    cancel(&world.app, &running.message).await.unwrap();
    world.bundle.clock.advance(PAST_THE_LEASE);
    world.reconcile(&world.app).await;
    assert_eq!(status(&world, &running).await, MessageStatus::Cancelled);
    let stored = world.stored(&conversation_id("talk")).await;
    assert!(stored.queue.is_empty() && stored.lease.is_none());
}

#[tokio::test]
async fn every_call_of_a_worker_whose_conversation_was_freed_is_refused() {
    let world = World::new().await;
    let conversation = conversation_id("talk");
    let running = running_message(&world).await;
    let freed = free(&world.app, &conversation, "it hangs", None).await.unwrap();
    assert_eq!(freed.worker_id, Some(running.worker.to_string()));
    let answer =
        heartbeat(&world.app, &running.worker, &running.message, &running.lease, None).await.unwrap();
    assert!(!answer.held);
    let late = complete(
        &world.app,
        &running.worker,
        &running.message,
        &running.lease,
        empty_completion(),
        DeliveredBy::Worker,
    )
    .await;
    assert_eq!(code(&late), Some(Code::StaleLease));
    let late =
        fail(&world.app, &running.worker, &running.message, &running.lease, "no", Retry::After(None)).await;
    assert_eq!(code(&late), Some(Code::StaleLease));
    let polled = world.poll(&world.app, &running.worker, Some(&conversation)).await;
    assert!(polled.control.should_stop && polled.job.is_none());
    world.bundle.clock.advance(PAST_THE_BACKOFF);
    let other = world.worker("v", None).await;
    assert_eq!(world.claim(&other, None).await.message, running.message);
}

#[tokio::test]
async fn freeing_after_the_completion_removes_only_the_owner() {
    let world = World::new().await;
    let conversation = conversation_id("talk");
    let running = running_message(&world).await;
    let (seen, policies, now) = (world.stored(&conversation).await, Policies::default(), world.app.now());
    let decided = seen.freed("it hangs", 0.0, now, &policies).unwrap();
    world.complete(&running).await;
    let commit = world.app.store.free_if_unchanged(&seen, &decided, None, now, &policies).await.unwrap();
    assert!(matches!(commit, Commit::Stale), "the completion was faster");
    let freed = free(&world.app, &conversation, "it hangs", None).await.unwrap();
    assert_eq!((freed.worker_id, freed.message_id), (Some(running.worker.to_string()), None));
    assert_eq!(status(&world, &running).await, MessageStatus::Done);
}

#[tokio::test]
async fn a_concurrent_heartbeat_does_not_prevent_the_freeing_of_a_lease() {
    let world = World::new().await;
    let conversation = conversation_id("talk");
    let running = running_message(&world).await;
    let (seen, policies, now) = (world.stored(&conversation).await, Policies::default(), world.app.now());
    let decided = seen.freed("it hangs", 0.0, now, &policies).unwrap();
    assert!(
        heartbeat(&world.app, &running.worker, &running.message, &running.lease, None).await.unwrap().held
    );
    let commit = world.app.store.free_if_unchanged(&seen, &decided, None, now, &policies).await.unwrap();
    assert!(matches!(commit, Commit::Done));
    assert!(
        !heartbeat(&world.app, &running.worker, &running.message, &running.lease, None).await.unwrap().held
    );
}

#[tokio::test]
async fn freeing_twice_under_one_fence_ends_one_claim() {
    let world = World::new().await;
    let conversation = conversation_id("talk");
    let running = running_message(&world).await;
    let fence = Some(running.lease.parts().fence);
    let (one, other) = tokio::join!(
        free(&world.app, &conversation, "a", fence),
        free(&world.app, &conversation, "b", fence)
    );
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    assert_eq!(code(&one).or(code(&other)), Some(Code::Conflict));
    world.bundle.clock.advance(PAST_THE_BACKOFF);
    let next = world.worker("v", None).await;
    let again = world.claim(&next, None).await;
    assert_eq!(code(&free(&world.app, &conversation, "a", fence).await), Some(Code::Conflict));
    assert!(world.stored(&conversation).await.holds(&again.lease));
}

#[tokio::test]
async fn the_next_reconcile_ends_a_worker_whose_conversation_was_freed() {
    let world = World::new().await;
    let conversation = conversation_id("talk");
    let running = running_message(&world).await;
    free(&world.app, &conversation, "it hangs", None).await.unwrap();
    let row = world.app.store.worker(&running.worker).await.unwrap().unwrap();
    assert!(matches!(row.status, WorkerStatus::Draining { .. }) && row.assignment.is_none());
    world.reconcile(&world.app).await;
    assert!(world.app.store.worker(&running.worker).await.unwrap().is_none());
}
