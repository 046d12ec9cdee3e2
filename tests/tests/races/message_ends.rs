//! The ends of messages: only the worker whose call ended the message gets the answer that it did.

use af_app::AppError;
use af_app::worker::{DeliveredBy, Retry, complete, fail};
use af_domain::message::MessageStatus;
use af_domain::refusal::Code;
use af_domain::time::Millis;

use crate::world::{RunningMessage, World, conversation_id, empty_completion};

/// A time after the end of a lease and before its worker is stale.
const PAST_THE_LEASE: Millis = Millis::from_secs(91);
/// A time after the longest backoff.
const PAST_THE_BACKOFF: Millis = Millis::from_secs(661);
/// Attempts whose longest errors would together overflow an item.
const ATTEMPTS: u32 = 60;

async fn completed(world: &World, running: &RunningMessage) -> Result<(), AppError> {
    complete(
        &world.app,
        &running.worker,
        &running.message,
        &running.lease,
        empty_completion(),
        DeliveredBy::Worker,
    )
    .await
}

fn is_stale(answer: &Result<(), AppError>) -> bool {
    matches!(answer, Err(AppError::Refused(refusal)) if refusal.code == Code::StaleLease)
}

async fn status(world: &World, running: &RunningMessage) -> MessageStatus {
    world.app.store.message(&running.message, world.app.now(), true).await.unwrap().unwrap().status
}

#[tokio::test]
async fn a_message_that_recovery_dead_lettered_is_not_answered_as_completed() {
    let world = World::new().await;
    let conversation = conversation_id("talk");
    world.enqueue(&conversation, Some(1)).await;
    let worker = world.worker("w", Some(&conversation)).await;
    let running = world.claim(&worker, Some(&conversation)).await;
    world.bundle.clock.advance(PAST_THE_LEASE);
    world.reconcile(&world.app).await;
    assert_eq!(status(&world, &running).await, MessageStatus::DeadLetter);

    let late = completed(&world, &running).await;
    assert!(is_stale(&late), "{late:?}");
    assert_eq!(status(&world, &running).await, MessageStatus::DeadLetter);
}

#[tokio::test]
async fn a_message_that_its_worker_dead_lettered_is_not_answered_as_completed() {
    let world = World::new().await;
    let conversation = conversation_id("talk");
    world.enqueue(&conversation, None).await;
    let worker = world.worker("w", Some(&conversation)).await;
    let running = world.claim(&worker, Some(&conversation)).await;
    let failed =
        fail(&world.app, &worker, &running.message, &running.lease, "no", Retry::Never).await.unwrap();
    assert!(failed.dead_lettered);
    let late = completed(&world, &running).await;
    assert!(is_stale(&late), "{late:?}");
}

#[tokio::test]
async fn a_repeated_completion_succeeds_also_after_the_next_message() {
    let world = World::new().await;
    let conversation = conversation_id("talk");
    world.enqueue(&conversation, None).await;
    world.enqueue(&conversation, None).await;
    let worker = world.worker("w", Some(&conversation)).await;
    let first = world.claim(&worker, Some(&conversation)).await;
    completed(&world, &first).await.unwrap();
    completed(&world, &first).await.unwrap();
    let second = world.claim(&worker, Some(&conversation)).await;
    completed(&world, &second).await.unwrap();
    completed(&world, &first).await.unwrap();
}

/// The message's item contains the record of each attempt and is limited to 400 KB. A message whose item is full could
/// neither be requeued nor end.
#[tokio::test]
async fn a_message_whose_attempts_fail_with_the_longest_errors_ends() {
    let world = World::new().await;
    let conversation = conversation_id("talk");
    world.enqueue(&conversation, Some(ATTEMPTS)).await;
    let worker = world.worker("w", Some(&conversation)).await;
    let error = "🦀".repeat(2_000);
    for attempt in 1..=ATTEMPTS {
        let running = world.claim(&worker, Some(&conversation)).await;
        let failed =
            fail(&world.app, &worker, &running.message, &running.lease, error.as_str(), Retry::After(None))
                .await
                .unwrap();
        assert_eq!(failed.dead_lettered, attempt == ATTEMPTS);
        world.bundle.clock.advance(PAST_THE_BACKOFF);
    }
}
