//! Workers and their conversations: drained, let go, seen.

use af_app::pool::workers;
use af_domain::ids::WorkerId;
use af_domain::policy::Policies;
use af_domain::time::Millis;
use af_domain::worker::{DrainReason, WorkerStatus};
use af_store::conversation::Commit;

use crate::replica::Replica;
use crate::world::{World, conversation};

/// Between polls of a worker that is idle.
const IDLE_POLLS_EVERY: Millis = Millis::from_secs(10);

#[tokio::test]
async fn a_worker_that_claims_while_it_is_drained_as_idle_stays() {
    let world = World::new().await;
    let (policies, talk) = (Policies::default(), conversation("talk"));
    let worker = world.worker("w", None).await;
    let seen = world.app.store.worker(&worker).await.unwrap().unwrap();
    world.enqueue(&talk, None).await;
    world.claim(&worker, None).await;

    let drained = seen.drain(DrainReason::Idle, world.app.now(), &policies).unwrap();
    let commit = world.app.store.drain_if_active(&drained, None, &policies).await.unwrap();
    assert!(matches!(commit, Commit::Stale), "its row was seen without a conversation");
    assert_eq!(world.app.store.worker(&worker).await.unwrap().unwrap().status, WorkerStatus::Active);
}

#[tokio::test]
async fn a_worker_that_let_go_is_not_sent_away_by_an_old_view_of_its_row() {
    let world = World::new().await;
    let (replica, talk) = (Replica::new(), conversation("talk"));
    let behind = world.troubled(replica.clone());
    world.enqueue(&talk, None).await;
    let worker = world.worker("w", None).await;
    let held = world.claim(&worker, None).await;
    world.complete(&held).await;
    // The first poll is written down as a sign of life; the second reads the row, which names the conversation.
    for _ in 0..2 {
        world.poll(&behind, &worker, None).await;
    }
    replica.fall_behind();
    world.release(&worker, &talk).await;

    let polled = world.poll(&behind, &worker, None).await;
    assert!(!polled.control.should_stop, "{:?}", polled.control);
}

#[tokio::test]
async fn a_worker_that_has_just_been_registered_is_known_where_nobody_has_heard_of_it_yet() {
    let world = World::new().await;
    let replica = Replica::new();
    let behind = world.troubled(replica.clone());
    let early = WorkerId::parse("w").unwrap();
    assert!(world.poll(&behind, &early, None).await.control.should_stop, "there is none of that name");
    replica.fall_behind();
    let worker = world.worker("w", None).await;
    let polled = world.poll(&behind, &worker, None).await;
    assert!(!polled.control.should_stop, "{:?}", polled.control);
}

#[tokio::test]
async fn a_worker_that_names_another_conversation_than_its_own_is_seen_all_the_same() {
    let world = World::new().await;
    let (talk, other) = (conversation("talk"), conversation("other"));
    for conversation in [&talk, &other] {
        world.enqueue(conversation, None).await;
    }
    let worker = world.worker("w", Some(&talk)).await;
    let held = world.claim(&worker, Some(&talk)).await;
    world.complete(&held).await;
    let owner = world.worker("owner", Some(&other)).await;
    let polls_until_stale = Policies::default().lease.stale_after.as_millis() / IDLE_POLLS_EVERY.as_millis();
    for _ in 0..=2 * polls_until_stale {
        world.bundle.clock.advance(IDLE_POLLS_EVERY);
        world.poll(&world.app, &worker, Some(&other)).await;
        world.poll(&world.app, &owner, Some(&other)).await;
    }
    let seen = workers::get(&world.app, &worker).await.unwrap().seen_at.unwrap();
    assert!(world.app.now().since(seen) < Policies::default().lease.stale_after);
    assert!(world.stored(&talk).await.owner.is_some());
}

#[tokio::test]
async fn the_id_of_a_worker_that_has_stopped_is_not_used_again() {
    let world = World::new().await;
    let talk = conversation("talk");
    world.enqueue(&talk, None).await;
    let worker = world.worker("w", None).await;
    world.dismiss(&worker, None).await;
    world.reconcile(&world.app).await;
    assert!(world.app.store.stopped_worker(&worker, world.app.now()).await.unwrap().is_some());

    for conversation in [None, Some(&talk)] {
        let again =
            workers::register(&world.app, worker.clone(), conversation, None, "http://127.0.0.1:9", None)
                .await;
        assert!(again.is_err(), "for {conversation:?}");
    }
    assert!(world.stored(&talk).await.owner.is_none());
}
