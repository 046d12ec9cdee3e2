//! Races of workers that drain, release their conversation, or give a sign of life.

use af_app::pool::workers;
use af_domain::ids::WorkerId;
use af_domain::policy::Policies;
use af_domain::time::{Millis, Timestamp};
use af_domain::worker::{DrainReason, WorkerStatus};
use af_store::conversation::Commit;

use crate::replica::Replica;
use crate::world::{World, conversation_id};

/// The time between two polls of an idle worker.
const IDLE_POLL_INTERVAL: Millis = Millis::from_secs(10);

#[tokio::test]
async fn a_worker_that_claims_during_an_idle_drain_stays_active() {
    let world = World::new().await;
    let (policies, conversation) = (Policies::default(), conversation_id("talk"));
    let worker = world.worker("w", None).await;
    let seen = world.app.store.worker(&worker).await.unwrap().unwrap();
    world.enqueue(&conversation, None).await;
    world.claim(&worker, None).await;

    let drained = seen.drain(DrainReason::Idle, world.app.now(), &policies).unwrap();
    let commit = world.app.store.drain_if_active(&drained, None, &policies).await.unwrap();
    assert!(matches!(commit, Commit::Stale), "the drain was decided on a row without a conversation");
    assert_eq!(world.app.store.worker(&worker).await.unwrap().unwrap().status, WorkerStatus::Active);
}

#[tokio::test]
async fn a_stale_read_does_not_stop_a_worker_that_released_its_conversation() {
    let world = World::new().await;
    let (replica, conversation) = (Replica::new(), conversation_id("talk"));
    let behind = world.with_faults(replica.clone());
    world.enqueue(&conversation, None).await;
    let worker = world.worker("w", None).await;
    let running = world.claim(&worker, None).await;
    world.complete(&running).await;
    // The first poll writes a sign of life. The second poll reads the row, which names the conversation.
    for _ in 0..2 {
        world.poll(&behind, &worker, None).await;
    }
    replica.fall_behind();
    world.release(&worker, &conversation).await;

    let polled = world.poll(&behind, &worker, None).await;
    assert!(!polled.control.should_stop, "{:?}", polled.control);
}

#[tokio::test]
async fn a_stale_read_does_not_stop_a_worker_that_was_just_registered() {
    let world = World::new().await;
    let replica = Replica::new();
    let behind = world.with_faults(replica.clone());
    let early = WorkerId::parse("w").unwrap();
    assert!(world.poll(&behind, &early, None).await.control.should_stop, "the worker is not registered yet");
    replica.fall_behind();
    let worker = world.worker("w", None).await;
    let polled = world.poll(&behind, &worker, None).await;
    assert!(!polled.control.should_stop, "{:?}", polled.control);
}

#[tokio::test]
async fn a_poll_that_names_another_conversation_is_a_sign_of_life() {
    let world = World::new().await;
    let (conversation, other) = (conversation_id("talk"), conversation_id("other"));
    for conversation in [&conversation, &other] {
        world.enqueue(conversation, None).await;
    }
    let worker = world.worker("w", Some(&conversation)).await;
    let running = world.claim(&worker, Some(&conversation)).await;
    world.complete(&running).await;
    let owner = world.worker("owner", Some(&other)).await;
    let polls_until_stale =
        Policies::default().lease.stale_after.as_millis() / IDLE_POLL_INTERVAL.as_millis();
    for _ in 0..=2 * polls_until_stale {
        world.bundle.clock.advance(IDLE_POLL_INTERVAL);
        world.poll(&world.app, &worker, Some(&other)).await;
        world.poll(&world.app, &owner, Some(&other)).await;
    }
    let seen = workers::get(&world.app, &worker).await.unwrap().heartbeat_at.unwrap();
    assert!(world.app.now().since(Timestamp::from_millis(seen)) < Policies::default().lease.stale_after);
    assert!(world.stored(&conversation).await.owner.is_some());
}

#[tokio::test]
async fn the_id_of_a_stopped_worker_cannot_be_registered_again() {
    let world = World::new().await;
    let conversation = conversation_id("talk");
    world.enqueue(&conversation, None).await;
    let worker = world.worker("w", None).await;
    world.drain_completely(&worker, None).await;
    world.reconcile(&world.app).await;
    assert!(world.app.store.stopped_worker(&worker, world.app.now()).await.unwrap().is_some());

    for conversation in [None, Some(&conversation)] {
        let again =
            workers::register(&world.app, worker.clone(), conversation, None, "http://127.0.0.1:9", None)
                .await;
        assert!(again.is_err(), "for {conversation:?}");
    }
    assert!(world.stored(&conversation).await.owner.is_none());
}
