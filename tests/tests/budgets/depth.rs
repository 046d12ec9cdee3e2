//! How many messages wait in a conversation, and how long its history is, changes no number of requests.

use crate::figures::Figures;
use crate::world::{Held, World};

/// The most that may wait in one conversation, by default.
const DEEP: usize = 200;

/// Requests and rounds of enqueue, claim with hydration, and complete, in a conversation where `waiting` messages wait.
async fn requests(world: &World, waiting: usize) -> Vec<(u32, u32)> {
    let (worker, conversation) = world.settled_owner().await;
    for _ in 1..waiting {
        world.enqueue(world.message(&conversation)).await;
    }
    let (_, accepted) = world.measure(world.enqueue(world.message(&conversation))).await;
    assert_eq!(world.stored(&conversation).await.queue.len(), waiting);
    let (polled, claimed) = world.measure(world.poll_owned(&worker, &conversation, true)).await;
    let (_, completed) = world.measure(world.complete(&Held::of(&worker, &polled), 2)).await;
    [accepted, claimed, completed].iter().map(|f: &Figures| (f.requests, f.rounds)).collect()
}

#[tokio::test]
async fn queue_depth_changes_no_number_of_requests() {
    let world = World::new().await;
    let shallow = requests(&world, 1).await;
    assert_eq!(shallow, [(1, 1), (4, 2), (1, 1)]);
    assert_eq!(requests(&world, DEEP).await, shallow);
}
