//! What a worker says in two calls at once.

use af_app::worker::transcribe;
use af_domain::message::{HistoryEntry, Role};
use af_store::conversation::{Append, LeaseRef as Names};
use af_store::conversation_key;

use crate::world::{World, conversation};

fn said(world: &World, role: Role, content: &str) -> HistoryEntry {
    HistoryEntry { role, content: content.into(), at: world.app.now() }
}

#[tokio::test]
async fn of_two_that_have_seen_the_same_count_the_slower_one_is_not_taken_for_a_repetition() {
    let world = World::new().await;
    let talk = conversation("talk");
    world.enqueue(&talk, None).await;
    let worker = world.worker("w", Some(&talk)).await;
    let held = world.claim(&worker, Some(&talk)).await;
    let names = Names { lease: &held.lease, message: Some(&held.message), worker: &worker };
    let (question, answer) = (said(&world, Role::User, "hello"), said(&world, Role::Assistant, "good day"));
    let store = &world.app.store;
    let fast = store.rewrite_if_leased(&names, 0, 0, std::slice::from_ref(&question)).await.unwrap();
    let slow = store.rewrite_if_leased(&names, 0, 0, std::slice::from_ref(&answer)).await.unwrap();
    assert_eq!((fast, slow), (Append::Done, Append::OutOfOrder { expected: 1 }));

    // Which is why it reads again, and so does one whose answer was lost.
    for _ in 0..2 {
        let said = transcribe(&world.app, &worker, &talk, std::slice::from_ref(&answer)).await.unwrap();
        assert_eq!((said.updated, said.message_count), (true, 2));
    }
    let history = store.history(&conversation_key(&talk), Default::default(), budget()).await.unwrap();
    assert_eq!(history.newest_first, [answer, question]);
}

fn budget() -> af_domain::context::ContextBudget {
    af_domain::context::ContextBudget::new(10, u64::MAX, u64::MAX)
}
