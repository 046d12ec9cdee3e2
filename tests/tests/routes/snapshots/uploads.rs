//! From preparation to finalization.

use serde_json::json;

use crate::snapshots::{TALK, World};

#[tokio::test]
async fn what_one_worker_keeps_the_next_one_restores_byte_for_byte() {
    let world = World::new().await;
    let first = world.worker_after_one_message("first").await;
    assert_eq!(first.latest().await.status.as_u16(), 204, "there is none yet");
    let bytes: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    let id = first.keep("drain", &bytes).await;
    assert_eq!(world.worker_row("first").await["lastSnapshotId"], id.as_str());

    let released = first.poll(json!({"conversationId": TALK, "release": true})).await;
    assert_eq!(released["control"]["shouldStop"], false);
    world.enqueue("again").await;
    let second = world.worker("second").await;
    assert_eq!(second.latest().await.problem(), (404, "not_found"), "it is not its conversation yet");
    second.work().await;
    assert_eq!(second.restored().await, bytes);
    assert_eq!(first.latest().await.problem(), (404, "not_found"), "it is not its conversation any more");
}

#[tokio::test]
async fn a_conversation_is_kept_while_its_files_are_in_no_snapshot() {
    let world = World::new().await;
    let worker = world.worker_after_one_message("w").await;
    let assigned = async || world.worker_row("w").await["assignment"].is_object();
    worker.poll(json!({"conversationId": TALK, "release": true})).await;
    assert!(assigned().await, "it owes a snapshot");
    worker.keep("manual", b"files").await;
    world.enqueue("more").await;
    worker.work().await;
    worker.poll(json!({"conversationId": TALK, "release": true})).await;
    assert!(assigned().await, "it has claimed since");
    worker.poll(json!({"conversationId": TALK, "release": true, "discard": true})).await;
    assert!(!assigned().await, "it has nothing to keep");
}

#[tokio::test]
async fn a_zombies_late_finalization_is_refused_and_told_so() {
    let world = World::new().await;
    let zombie = world.worker_after_one_message("zombie").await;
    let upload = zombie.prepare("drain", b"old").await;
    assert_eq!(world.put(&upload, b"old").await, 200);
    zombie.poll(json!({"conversationId": TALK, "release": true, "discard": true})).await;
    let heir = world.worker_after_one_message("heir").await;
    assert_eq!(zombie.finalize(&upload).await.problem(), (409, "stale_snapshot"));
    heir.keep("manual", b"new").await;
    assert_eq!(zombie.finalize(&upload).await.problem(), (409, "stale_snapshot"));
    assert_eq!(heir.restored().await, b"new");
}

#[tokio::test]
async fn an_older_fence_of_the_same_worker_is_out_of_date_too() {
    let world = World::new().await;
    let worker = world.worker_after_one_message("w").await;
    let upload = worker.prepare("manual", b"before").await;
    assert_eq!(world.put(&upload, b"before").await, 200);
    world.enqueue("meanwhile").await;
    worker.work().await;
    assert_eq!(worker.finalize(&upload).await.problem(), (409, "stale_snapshot"));
}

#[tokio::test]
async fn bytes_that_were_not_announced_are_refused_where_they_arrive_and_where_they_are_finalized() {
    let world = World::new().await;
    let worker = world.worker_after_one_message("w").await;
    let upload = worker.prepare("manual", b"right").await;
    assert_eq!(worker.finalize(&upload).await.problem(), (409, "conflict"), "nothing is there");
    assert_eq!(world.put(&upload, b"wrong").await, 400);
    assert_eq!(worker.finalize(&upload).await.problem(), (409, "conflict"), "the local S3 has kept it");
    assert_eq!(worker.latest().await.status.as_u16(), 204);
    assert_eq!(world.put(&upload, b"right").await, 200);
    worker.finalize(&upload).await.body_of(200);
    assert_eq!(worker.restored().await, b"right");
}

#[tokio::test]
async fn each_step_can_be_sent_twice() {
    let world = World::new().await;
    let worker = world.worker_after_one_message("w").await;
    let upload = worker.prepare("manual", b"files").await;
    let again = worker.prepare("manual", b"files").await;
    assert_ne!(upload.id, again.id, "a preparation that starts over is another one");
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
async fn nobody_reaches_anothers_snapshot_or_conversation() {
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
async fn what_cannot_be_announced_is_refused_with_the_field_at_fault() {
    let world = World::new().await;
    let worker = world.worker_after_one_message("w").await;
    let good = json!({"conversationId": TALK, "reason": "manual", "sizeBytes": 1, "sha256": "a".repeat(64)});
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
async fn nothing_is_announced_while_a_message_runs_or_before_one_was_claimed() {
    let world = World::new().await;
    world.enqueue("hello").await;
    let worker = world.worker("w").await;
    let job = worker.poll(json!({})).await["job"].clone();
    assert_eq!(worker.announce("manual", b"files").await.problem(), (503, "unavailable"));
    let path = format!("messages/{}/complete", job["messageId"].as_str().unwrap());
    worker.post(&path, json!({"leaseId": job["leaseId"], "fence": job["fence"]})).await.body_of(200);
    worker.keep("manual", b"files").await;
    worker.poll(json!({"conversationId": TALK, "release": true})).await;

    let body = json!({"workerId": "assigned", "conversationId": TALK});
    let registered = world.api.post("/v1/workers", body).send().await.body_of(201);
    let token = registered["token"].as_str().unwrap().to_owned();
    let assigned = crate::snapshots::Hands { world: &world, id: "assigned", token };
    assert_eq!(assigned.announce("manual", b"empty").await.problem(), (409, "conflict"), "{}", assigned.id);
    assert_eq!(assigned.restored().await, b"files", "it restores before it claims");
}
