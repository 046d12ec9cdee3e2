//! Concurrent calls of a worker that write history.

use af_app::worker::transcribe;
use af_domain::message::{HistoryEntry, Role};
use af_store::conversation::{Append, LeaseRef};
use af_store::conversation_key;

use crate::world::{World, conversation_id};

fn entry(world: &World, role: Role, content: &str) -> HistoryEntry {
    HistoryEntry { role, content: content.into(), at: world.app.now() }
}

#[tokio::test]
async fn the_slower_of_two_concurrent_rewrites_is_not_taken_for_a_repetition() {
    let world = World::new().await;
    let conversation = conversation_id("talk");
    world.enqueue(&conversation, None).await;
    let worker = world.worker("w", Some(&conversation)).await;
    let running = world.claim(&worker, Some(&conversation)).await;
    let lease_ref = LeaseRef { lease: &running.lease, message: Some(&running.message), worker: &worker };
    let (question, answer) = (entry(&world, Role::User, "hello"), entry(&world, Role::Assistant, "good day"));
    let store = &world.app.store;
    let fast = store.rewrite_if_leased(&lease_ref, 0, 0, std::slice::from_ref(&question)).await.unwrap();
    let slow = store.rewrite_if_leased(&lease_ref, 0, 0, std::slice::from_ref(&answer)).await.unwrap();
    assert_eq!((fast, slow), (Append::Done, Append::OutOfOrder { expected: 1 }));

    // The call therefore reads the count again, also when it is a repetition.
    for _ in 0..2 {
        let transcribed =
            transcribe(&world.app, &worker, &conversation, std::slice::from_ref(&answer)).await.unwrap();
        assert_eq!((transcribed.updated, transcribed.message_count), (true, 2));
    }
    let history =
        store.history(&conversation_key(&conversation), Default::default(), budget()).await.unwrap();
    assert_eq!(history.newest_first, [answer, question]);
}

fn budget() -> af_domain::context::ContextBudget {
    af_domain::context::ContextBudget::new(10, u64::MAX, u64::MAX)
}
