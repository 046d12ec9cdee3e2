//! The upload of a snapshot, from preparation to finalization.

use serde_json::json;

use crate::snapshots::{CONVERSATION, World};

#[tokio::test]
async fn the_next_worker_restores_a_snapshot_byte_for_byte() {
    let world = World::new().await;
    let first = world.worker_after_one_message("first").await;
    assert_eq!(first.latest().await.status.as_u16(), 204, "the conversation has no snapshot yet");
    let bytes: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    let id = first.upload_snapshot("drain", &bytes).await;
    assert_eq!(world.worker_row("first").await["lastSnapshotId"], id.as_str());

    let released = first.poll(json!({"conversationId": CONVERSATION, "release": true})).await;
    assert_eq!(released["control"]["shouldStop"], false);
    world.enqueue("again").await;
    let second = world.worker("second").await;
    assert_eq!(
        second.latest().await.problem(),
        (404, "not_found"),
        "the worker does not own the conversation yet"
    );
    second.work().await;
    assert_eq!(second.restored().await, bytes);
    assert_eq!(
        first.latest().await.problem(),
        (404, "not_found"),
        "the worker no longer owns the conversation"
    );
}

#[tokio::test]
async fn a_release_is_ignored_while_the_files_are_in_no_snapshot() {
    let world = World::new().await;
    let worker = world.worker_after_one_message("w").await;
    let assigned = async || world.worker_row("w").await["assignment"].is_object();
    worker.poll(json!({"conversationId": CONVERSATION, "release": true})).await;
    assert!(assigned().await, "its files are in no snapshot");
    worker.upload_snapshot("manual", b"files").await;
    world.enqueue("more").await;
    worker.work().await;
    worker.poll(json!({"conversationId": CONVERSATION, "release": true})).await;
    assert!(assigned().await, "the worker has claimed since the snapshot");
    worker.poll(json!({"conversationId": CONVERSATION, "release": true, "discard": true})).await;
    assert!(!assigned().await, "the worker discards its files");
}

#[tokio::test]
async fn a_late_finalization_of_the_previous_owner_is_refused() {
    let world = World::new().await;
    let previous = world.worker_after_one_message("previous").await;
    let upload = previous.prepare("drain", b"old").await;
    assert_eq!(world.put(&upload, b"old").await, 200);
    previous.poll(json!({"conversationId": CONVERSATION, "release": true, "discard": true})).await;
    let next_worker = world.worker_after_one_message("next-worker").await;
    assert_eq!(previous.finalize(&upload).await.problem(), (409, "stale_snapshot"));
    next_worker.upload_snapshot("manual", b"new").await;
    assert_eq!(previous.finalize(&upload).await.problem(), (409, "stale_snapshot"));
    assert_eq!(next_worker.restored().await, b"new");
}

#[tokio::test]
async fn a_finalization_with_an_older_fence_of_the_same_worker_is_refused() {
    let world = World::new().await;
    let worker = world.worker_after_one_message("w").await;
    let upload = worker.prepare("manual", b"before").await;
    assert_eq!(world.put(&upload, b"before").await, 200);
    world.enqueue("meanwhile").await;
    worker.work().await;
    assert_eq!(worker.finalize(&upload).await.problem(), (409, "stale_snapshot"));
}

#[tokio::test]
async fn bytes_that_were_not_announced_are_refused_at_upload_and_at_finalization() {
    let world = World::new().await;
    let worker = world.worker_after_one_message("w").await;
    let upload = worker.prepare("manual", b"right").await;
    assert_eq!(worker.finalize(&upload).await.problem(), (409, "conflict"), "nothing is uploaded");
    assert_eq!(world.put(&upload, b"wrong").await, 400);
    assert_eq!(
        worker.finalize(&upload).await.problem(),
        (409, "conflict"),
        "the S3 emulator has stored the wrong bytes"
    );
    assert_eq!(worker.latest().await.status.as_u16(), 204);
    assert_eq!(world.put(&upload, b"right").await, 200);
    worker.finalize(&upload).await.body_of(200);
    assert_eq!(worker.restored().await, b"right");
}

#[tokio::test]
async fn each_step_of_an_upload_can_be_repeated() {
    let world = World::new().await;
    let worker = world.worker_after_one_message("w").await;
    let upload = worker.prepare("manual", b"files").await;
    let again = worker.prepare("manual", b"files").await;
    assert_ne!(upload.id, again.id, "a second preparation makes another snapshot");
    for _ in 0..2 {
        assert_eq!(world.put(&upload, b"files").await, 200);
    }
    for _ in 0..2 {
        assert_eq!(worker.finalize(&upload).await.body_of(200)["status"], "ready");
    }
    for _ in 0..2 {
        let failed = worker.post(&format!("snapshots/{}/fail", again.id), json!({"error": "no disk"})).await;
        assert_eq!(failed.body_of(200)["failed"], true);
    }
    let late =
        worker.post(&format!("snapshots/{}/fail", upload.id), json!({"error": "changed my mind"})).await;
    assert_eq!(late.problem(), (409, "conflict"));
    assert_eq!((world.status_of(&upload.id).await, world.status_of(&again.id).await), ("ready", "failed"));
}

#[tokio::test]
async fn a_snapshot_or_conversation_of_another_worker_is_not_found() {
    let world = World::new().await;
    let worker = world.worker_after_one_message("w").await;
    let other = world.worker("other").await;
    let upload = worker.prepare("manual", b"files").await;
    assert_eq!(other.finalize(&upload).await.problem(), (404, "not_found"));
    let failed = other.post(&format!("snapshots/{}/fail", upload.id), json!({"error": "mine"})).await;
    assert_eq!(failed.problem(), (404, "not_found"));
    assert_eq!(other.announce("manual", b"files").await.problem(), (404, "not_found"));
    assert_eq!(other.latest().await.problem(), (404, "not_found"));
    assert_eq!(world.status_of(&upload.id).await, "uploading");
}

#[tokio::test]
async fn an_invalid_announcement_of_a_snapshot_is_refused_with_its_field() {
    let world = World::new().await;
    let worker = world.worker_after_one_message("w").await;
    let good =
        json!({"conversationId": CONVERSATION, "reason": "manual", "sizeBytes": 1, "sha256": "a".repeat(64)});
    let changes = [
        ("reason", json!("boredom")),
        ("sizeBytes", json!(0)),
        ("sizeBytes", json!(5_368_709_121_u64)),
        ("sha256", json!("A".repeat(64))),
        ("conversationId", json!("")),
    ];
    for (field, value) in changes {
        let mut body = good.clone();
        body[field] = value;
        let refused = worker.post("snapshots", body).await;
        assert_eq!((refused.problem().0, refused.pointer()), (422, &*format!("/{field}")));
    }
    let idle = world.worker("idle").await;
    assert_eq!(idle.post("snapshots", good).await.problem(), (404, "not_found"));
}

#[tokio::test]
async fn a_snapshot_cannot_be_announced_while_a_message_runs_or_before_a_claim() {
    let world = World::new().await;
    world.enqueue("hello").await;
    let worker = world.worker("w").await;
    let job = worker.poll(json!({})).await["job"].clone();
    assert_eq!(worker.announce("manual", b"files").await.problem(), (409, "message_running"));
    let path = format!("messages/{}/complete", job["messageId"].as_str().unwrap());
    worker.post(&path, json!({"leaseId": job["leaseId"], "fence": job["fence"]})).await.body_of(200);
    worker.upload_snapshot("manual", b"files").await;
    worker.poll(json!({"conversationId": CONVERSATION, "release": true})).await;

    let body = json!({"workerId": "assigned", "conversationId": CONVERSATION});
    let registered = world.api.post("/v1/workers", body).send().await.body_of(201);
    let token = registered["token"].as_str().unwrap().to_owned();
    let assigned = crate::snapshots::TestWorker { world: &world, id: "assigned", token };
    assert_eq!(assigned.announce("manual", b"empty").await.problem(), (409, "conflict"), "{}", assigned.id);
    assert_eq!(assigned.restored().await, b"files", "the worker restores before its first claim");
}
