//! Polls that wait for a message.

use af_domain::time::Millis;
use serde_json::{Value, json};

use crate::worker::World;

/// The number of small moves of the clock, which are 30 s together.
const MOVES: usize = 200;

async fn pass(world: &World, moves: usize) {
    for _ in 0..moves {
        world.advance(Millis::new(150));
        tokio::task::yield_now().await;
    }
}

/// A deployment that allows polls to wait for up to `max_wait_ms`.
async fn with_max_wait(max_wait_ms: u64) -> World {
    let world = World::new().await;
    let policies = json!({"poll": {"maxWaitMs": max_wait_ms}});
    world.api.put("/v1/config/policies", policies).send().await.body_of(200);
    world
}

/// The answer to a poll with this wait, and how long it has waited, ms. Nothing happens meanwhile.
async fn waited(world: &World, wait_ms: u64) -> (Value, u64) {
    let worker = world.worker("w").await;
    let began = world.app.now();
    let polling = async {
        let answer = worker.poll(json!({"waitMs": wait_ms})).await;
        (answer, world.app.now().since(began).as_millis())
    };
    tokio::join!(polling, pass(world, MOVES)).0
}

#[tokio::test]
async fn a_waiting_poll_is_answered_when_a_message_arrives() {
    let world = with_max_wait(20_000).await;
    let worker = world.worker("w").await;
    let polling = worker.poll(json!({"waitMs": 20_000}));
    let acting = async {
        pass(&world, 20).await;
        let message = world.enqueue("c").await;
        let at = world.app.now();
        pass(&world, MOVES).await;
        (message, at)
    };
    let (answer, (message, at)) = tokio::join!(polling, acting);
    assert_eq!(answer["job"]["messageId"], message.as_str());
    let shown = world.message(&message.into()).await;
    let claimed = shown["attemptLog"][0]["claimedAt"].as_u64().unwrap_or_default();
    assert!((at.as_millis()..at.as_millis() + 2_000).contains(&claimed), "{shown}");
}

#[tokio::test]
async fn a_poll_without_a_message_is_answered_after_its_wait_and_may_be_repeated_at_once() {
    let world = with_max_wait(20_000).await;
    let (answer, waited) = waited(&world, 5_000).await;
    assert!(answer["job"].is_null());
    assert_eq!(answer["nextPollMs"], 0);
    assert!((5_000..7_000).contains(&waited), "{waited}");
}

#[tokio::test]
async fn the_policy_bounds_the_wait_and_allows_none_by_default() {
    let world = with_max_wait(1_000).await;
    let (_, ms) = waited(&world, 20_000).await;
    assert!((1_000..3_000).contains(&ms), "{ms}");
    let world = World::new().await;
    let (answer, ms) = waited(&world, 20_000).await;
    assert_eq!(answer["nextPollMs"], 1_000);
    assert!(ms < 1_500, "the moves until the answer: {ms}");
    world.worker("x").await.post("poll", json!({"waitMs": 20_001})).await.body_of(422);
}

#[tokio::test]
async fn a_waiting_poll_is_answered_when_the_worker_must_drain() {
    let world = with_max_wait(20_000).await;
    let worker = world.worker("w").await;
    let id = af_domain::ids::WorkerId::parse("w").unwrap();
    let polling = async {
        let answer = worker.poll(json!({"waitMs": 20_000})).await;
        (answer, world.app.now())
    };
    let acting = async {
        pass(&world, 20).await;
        world.drain(&id, af_domain::worker::DrainReason::Idle).await;
        let at = world.app.now();
        pass(&world, MOVES).await;
        at
    };
    let ((answer, answered), drained) = tokio::join!(polling, acting);
    assert_eq!(answer["control"]["shouldStop"], true, "{answer}");
    assert!(answered.since(drained) < Millis::new(2_000));
}
