//! The bundle of a message that its worker has claimed before.

use serde_json::json;

use crate::{TALK, World};

fn path(job: &serde_json::Value) -> String {
    format!("messages/{}/bundle", job["messageId"].as_str().unwrap())
}

#[tokio::test]
async fn a_bundle_that_is_asked_for_is_the_one_that_comes_with_a_poll() {
    let world = World::new().await;
    let (worker, first) = world.busy_worker("w", TALK).await;
    let said = json!({"history": [{"role": "assistant", "content": "hi", "at": 5}]});
    worker.complete(&first, said).await.body_of(200);
    world.enqueue(TALK).await;
    let polled = worker.poll(json!({"conversationId": TALK})).await;
    let bundle = worker.get(&path(&polled["job"])).await.body_of(200);
    assert_eq!(bundle, polled["bundle"]);
    assert_eq!(bundle["conversationState"]["contextHistory"][0]["content"], "hi");

    let since = format!("{}?since={}", path(&polled["job"]), bundle["cursor"].as_str().unwrap());
    let delta = worker.get(&since).await.body_of(200);
    assert_eq!((&delta["delta"], &delta["conversationState"]["contextHistory"]), (&json!(true), &json!([])));
    let wrong = worker.get(&format!("{}?since=nonsense", path(&polled["job"]))).await;
    assert_eq!((wrong.problem(), wrong.pointer()), ((422, "invalid_field"), "/since"));
}

#[tokio::test]
async fn a_bundle_is_for_whoever_holds_the_lease() {
    let world = World::new().await;
    let (worker, job) = world.busy_worker("w", TALK).await;
    let (other, theirs) = world.busy_worker("other", "another").await;
    worker.get(&path(&job)).await.body_of(200);
    for message in [path(&theirs), "messages/unknown/bundle".to_owned()] {
        assert_eq!(worker.get(&message).await.problem(), (404, "not_found"), "{message}");
    }
    other.get(&path(&theirs)).await.body_of(200);
    worker.complete(&job, json!({})).await.body_of(200);
    assert_eq!(worker.get(&path(&job)).await.problem(), (404, "not_found"), "it has ended");
}
