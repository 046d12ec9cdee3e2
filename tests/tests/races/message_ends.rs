//! How messages end, told once and to the right one.

use af_app::AppError;
use af_app::worker::{complete, fail};
use af_domain::message::MessageStatus;
use af_domain::refusal::Code;
use af_domain::time::Millis;

use crate::world::{Held, World, conversation, without_words};

/// Past the end of a lease, and before its worker counts as stale.
const PAST_THE_LEASE: Millis = Millis::from_secs(91);
/// Past every backoff.
const PAST_THE_BACKOFF: Millis = Millis::from_secs(150);
/// Attempts whose longest errors would together overflow an item.
const ATTEMPTS: u32 = 60;

async fn completed(world: &World, held: &Held) -> Result<(), AppError> {
    complete(&world.app, &held.worker, &held.message, &held.lease, without_words()).await
}

fn is_stale(answer: &Result<(), AppError>) -> bool {
    matches!(answer, Err(AppError::Refused(refusal)) if refusal.code == Code::StaleLease)
}

async fn status(world: &World, held: &Held) -> MessageStatus {
    world.app.store.message(&held.message, world.app.now(), true).await.unwrap().unwrap().status
}

#[tokio::test]
async fn a_message_that_recovery_dead_lettered_is_not_answered_as_completed() {
    let world = World::new().await;
    let talk = conversation("talk");
    world.enqueue(&talk, Some(1)).await;
    let worker = world.worker("w", Some(&talk)).await;
    let held = world.claim(&worker, Some(&talk)).await;
    world.bundle.clock.advance(PAST_THE_LEASE);
    world.reconcile(&world.app).await;
    assert_eq!(status(&world, &held).await, MessageStatus::DeadLetter);

    let late = completed(&world, &held).await;
    assert!(is_stale(&late), "{late:?}");
    assert_eq!(status(&world, &held).await, MessageStatus::DeadLetter);
}

#[tokio::test]
async fn a_message_that_its_holder_failed_for_good_is_not_answered_as_completed() {
    let world = World::new().await;
    let talk = conversation("talk");
    world.enqueue(&talk, None).await;
    let worker = world.worker("w", Some(&talk)).await;
    let held = world.claim(&worker, Some(&talk)).await;
    let failed = fail(&world.app, &worker, &held.message, &held.lease, "no", false).await.unwrap();
    assert!(failed.dead_lettered);
    let late = completed(&world, &held).await;
    assert!(is_stale(&late), "{late:?}");
}

#[tokio::test]
async fn a_completion_sent_again_is_done_also_after_the_next_message() {
    let world = World::new().await;
    let talk = conversation("talk");
    world.enqueue(&talk, None).await;
    world.enqueue(&talk, None).await;
    let worker = world.worker("w", Some(&talk)).await;
    let first = world.claim(&worker, Some(&talk)).await;
    completed(&world, &first).await.unwrap();
    completed(&world, &first).await.unwrap();
    let second = world.claim(&worker, Some(&talk)).await;
    completed(&world, &second).await.unwrap();
    completed(&world, &first).await.unwrap();
}

/// The record of each attempt stands in the message's item, which holds 400 KB: a message whose item can take no
/// further record could neither wait for its retry nor end.
#[tokio::test]
async fn a_message_that_fails_with_the_longest_errors_ends_all_the_same() {
    let world = World::new().await;
    let talk = conversation("talk");
    world.enqueue(&talk, Some(ATTEMPTS)).await;
    let worker = world.worker("w", Some(&talk)).await;
    let error = "🦀".repeat(2_000);
    for attempt in 1..=ATTEMPTS {
        let held = world.claim(&worker, Some(&talk)).await;
        let failed = fail(&world.app, &worker, &held.message, &held.lease, &error, true).await.unwrap();
        assert_eq!(failed.dead_lettered, attempt == ATTEMPTS);
        world.bundle.clock.advance(PAST_THE_BACKOFF);
    }
}
