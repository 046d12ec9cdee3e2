//! Snapshots that are skipped, by a worker that cannot restore them or by an operator.

use serde_json::{Value, json};

use super::{CONVERSATION, TestWorker, World};

/// A worker with two snapshots of its conversation, the older one first.
async fn with_two_snapshots(world: &World) -> (TestWorker<'_>, [String; 2]) {
    let worker = world.worker_after_one_message("w1").await;
    let first = worker.upload_snapshot("manual", b"first").await;
    world.enqueue("more").await;
    worker.work().await;
    let second = worker.upload_snapshot("manual", b"second").await;
    (worker, [first, second])
}

fn path(id: &str) -> String {
    format!("/v1/conversations/{CONVERSATION}/snapshots/{id}/skip")
}

async fn listed(world: &World) -> Vec<Value> {
    let page =
        world.api.get(&format!("/v1/conversations/{CONVERSATION}/snapshots")).send().await.body_of(200);
    page["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_snapshot_that_its_worker_cannot_restore_is_skipped_and_the_one_before_is_the_latest() {
    let world = World::new().await;
    let (worker, [first, second]) = with_two_snapshots(&world).await;
    let said = json!({"error": "the archive is damaged"});
    for _ in 0..2 {
        worker.post(&format!("snapshots/{second}/skip"), said.clone()).await.body_of(200);
        assert_eq!(worker.latest().await.body_of(200)["snapshotId"], *first);
        assert_eq!(worker.restored().await, b"first");
    }
    let listed = listed(&world).await;
    assert_eq!((&listed[0]["status"], &listed[1]["status"]), (&json!("failed"), &json!("ready")));
    assert_eq!(listed[0]["error"], "worker w1 could not restore it: the archive is damaged");
    assert!(listed.iter().all(|snapshot| snapshot["downloadUrl"].is_null()), "files belong to the user");

    worker.post(&format!("snapshots/{first}/skip"), said).await.body_of(200);
    assert_eq!(worker.latest().await.status, 204, "the conversation begins without files");
    assert!(world.is_in_bucket(&first).await, "the archive is kept, so that people can examine it");
}

#[tokio::test]
async fn after_a_skip_the_next_snapshot_is_the_latest_and_the_restored_one_does_not_expire_before() {
    let world = World::new().await;
    let (worker, [first, second]) = with_two_snapshots(&world).await;
    worker.post(&format!("snapshots/{second}/skip"), json!({"error": "no"})).await.body_of(200);
    assert_eq!(world.status_of(&first).await, "ready");
    world.enqueue("again").await;
    worker.work().await;
    let third = worker.upload_snapshot("manual", b"third").await;
    assert_eq!(worker.latest().await.body_of(200)["snapshotId"], *third);
    assert_eq!(worker.restored().await, b"third");
}

#[tokio::test]
async fn an_operator_skips_a_snapshot_with_a_reason() {
    let world = World::new().await;
    let (worker, [first, second]) = with_two_snapshots(&world).await;
    let skipped = world.api.post(&path(&second), json!({"reason": " a virus "})).send().await.body_of(200);
    assert_eq!(
        (&skipped["status"], &skipped["error"]),
        (&json!("failed"), &json!("skipped by an operator: a virus"))
    );
    assert_eq!(worker.latest().await.body_of(200)["snapshotId"], *first);

    // One that is not the latest: the latest stays.
    world.enqueue("again").await;
    worker.work().await;
    let third = worker.upload_snapshot("manual", b"third").await;
    world.api.post(&path(&first), json!({"reason": "old"})).send().await.body_of(200);
    assert_eq!(worker.latest().await.body_of(200)["snapshotId"], *third);
}

#[tokio::test]
async fn a_skip_of_another_conversations_snapshot_or_without_a_reason_is_refused() {
    let world = World::new().await;
    let (worker, [_, second]) = with_two_snapshots(&world).await;
    let reason = json!({"reason": "why"});
    let elsewhere = path(&second).replace("demo:ann", "demo:bob");
    assert_eq!(world.api.post(&elsewhere, reason).send().await.problem(), (404, "not_found"));
    for blank in ["", "  "] {
        let answer = world.api.post(&path(&second), json!({"reason": blank})).send().await;
        assert_eq!(answer.problem(), (422, "invalid_field"));
    }
    let upload = worker.prepare("manual", b"third").await;
    let answer = world.api.post(&path(&upload.id), json!({"reason": "why"})).send().await;
    assert_eq!(answer.problem(), (409, "conflict"), "a snapshot that is being uploaded");
    let stranger = world.worker("w2").await;
    let answer = stranger.post(&format!("snapshots/{second}/skip"), json!({"error": "no"})).await;
    assert_eq!(answer.problem(), (404, "not_found"));
    assert_eq!(world.status_of(&second).await, "ready");
}

#[tokio::test]
async fn why_a_snapshot_failed_is_shown() {
    let world = World::new().await;
    let worker = world.worker_after_one_message("w1").await;
    let upload = worker.prepare("manual", b"files").await;
    worker
        .post(&format!("snapshots/{}/fail", upload.id), json!({"error": "the disk is full"}))
        .await
        .body_of(200);
    assert_eq!(listed(&world).await[0]["error"], "the disk is full");
    let users = world.api.get("/v1/users/ann/agents/demo/snapshots").send().await.body_of(200);
    assert_eq!(users["items"][0]["error"], "the disk is full");
}
