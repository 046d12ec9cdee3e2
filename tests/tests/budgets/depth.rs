//! How many messages wait in a conversation, and how long its history is, changes no number of requests.

use af_domain::ids::{ConversationId, WorkerId};

use crate::figures::Figures;
use crate::serving::{append_to, beat, give_back};
use crate::world::{Held, TEXT, World};

/// The most that may wait in one conversation, by default.
const DEEP: usize = 200;
/// Appends that make a long history, and entries of each.
const APPENDS: usize = 10;
const ENTRIES: usize = 50;

/// Requests and rounds of: enqueue, claim with hydration, heartbeat, append 2, complete with 2, fail.
const EXPECTED: [(u32, u32); 6] = [(1, 1), (4, 2), (1, 1), (1, 1), (1, 1), (2, 2)];

/// What these operations take once `waiting` messages wait.
async fn requests(
    world: &World,
    worker: &WorkerId,
    conversation: &ConversationId,
    waiting: usize,
) -> [(u32, u32); 6] {
    for _ in 1..waiting {
        world.enqueue(world.message(conversation)).await;
    }
    let (_, accepted) = world.measure(world.enqueue(world.message(conversation))).await;
    assert_eq!(world.stored(conversation).await.queue.len(), waiting);
    let (polled, claimed) = world.measure(world.poll_owned(worker, conversation, true)).await;
    let held = Held::of(worker, &polled);
    let (_, beat) = world.measure(beat(world, &held)).await;
    let (_, appended) = world.measure(append_to(world, &held, 0, 2, TEXT)).await;
    let (_, completed) = world.measure(world.complete(&held, 2)).await;
    world.enqueue(world.message(conversation)).await;
    let held = world.claim(worker, conversation).await;
    let failed = give_back(world, &held, true).await;
    [accepted, claimed, beat, appended, completed, failed].map(|f: Figures| (f.requests, f.rounds))
}

#[tokio::test]
async fn queue_depth_changes_no_number_of_requests() {
    let world = World::new().await;
    for waiting in [1, DEEP] {
        let (worker, conversation) = world.settled_owner().await;
        assert_eq!(requests(&world, &worker, &conversation, waiting).await, EXPECTED, "{waiting} wait");
    }
}

#[tokio::test]
async fn history_length_changes_no_number_of_requests() {
    let world = World::new().await;
    let held = world.busy_owner(None).await;
    for nth in 0..APPENDS {
        append_to(&world, &held, (nth * ENTRIES) as u64, ENTRIES, TEXT).await;
    }
    world.complete(&held, 0).await;
    assert_eq!(requests(&world, &held.worker, &held.conversation, 1).await, EXPECTED);
}
