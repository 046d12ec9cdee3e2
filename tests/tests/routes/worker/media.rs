//! Media: files that an agent created, with real bytes in the bucket.

use af_app::files::media::expire;
use af_app::files::sweep::Expired;
use af_domain::media::MAX_SIZE_BYTES;
use af_domain::time::Millis;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::worker::{CONVERSATION, TestWorker, World};

const PNG: &[u8] = b"not really a picture";

fn announcement(bytes: &[u8]) -> Value {
    let sha256: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    json!({"sizeBytes": bytes.len(), "sha256": sha256, "contentType": "image/png"})
}

async fn announce(worker: &TestWorker<'_>, bytes: &[u8]) -> Value {
    worker.post("media", announcement(bytes)).await.body_of(201)
}

async fn put(world: &World, announced: &Value, bytes: &[u8]) -> u16 {
    assert_eq!(announced["method"], "PUT");
    let mut request = world.http.put(announced["uploadUrl"].as_str().unwrap()).body(bytes.to_vec());
    for (name, value) in announced["headers"].as_object().unwrap() {
        if name != "content-length" {
            request = request.header(name, value.as_str().unwrap());
        }
    }
    request.send().await.unwrap().status().as_u16()
}

fn path(announced: &Value) -> String {
    format!("media/{}", announced["storageId"].as_str().unwrap())
}

/// Uploads a file and returns its path.
async fn upload(worker: &TestWorker<'_>, bytes: &[u8]) -> String {
    let announced = announce(worker, bytes).await;
    assert_eq!(put(worker.world, &announced, bytes).await, 200);
    path(&announced)
}

async fn is_in_bucket(world: &World, path: &str) -> bool {
    world.objects.stored(path).await.unwrap().is_some()
}

#[tokio::test]
async fn a_file_that_was_uploaded_is_downloaded_byte_for_byte() {
    let world = World::new().await;
    let (worker, job) = world.busy_worker("w", CONVERSATION).await;
    let announced = announce(&worker, PNG).await;
    assert_eq!(worker.get(&path(&announced)).await.problem(), (404, "not_found"), "nothing is uploaded yet");
    assert_eq!(put(&world, &announced, PNG).await, 200);
    worker.complete(&job, json!({})).await.body_of(200);

    let file = worker.get(&path(&announced)).await.body_of(200);
    assert_eq!((&file["storageId"], &file["sizeBytes"]), (&announced["storageId"], &json!(PNG.len())));
    assert_eq!((&file["sha256"], &file["contentType"]), (&announcement(PNG)["sha256"], &json!("image/png")));
    let got = world.http.get(file["downloadUrl"].as_str().unwrap()).send().await.unwrap();
    assert_eq!((got.status().as_u16(), &got.headers()["content-type"]), (200, &"image/png".parse().unwrap()));
    assert_eq!(got.bytes().await.unwrap(), PNG);
}

#[tokio::test]
async fn bytes_that_differ_from_the_announcement_are_never_served() {
    let world = World::new().await;
    let (worker, _) = world.busy_worker("w", CONVERSATION).await;
    let announced = announce(&worker, PNG).await;
    assert_eq!(put(&world, &announced, b"something else......").await, 400);
    assert_eq!(worker.get(&path(&announced)).await.problem(), (404, "not_found"));
    assert_eq!(put(&world, &announced, PNG).await, 200);
    worker.get(&path(&announced)).await.body_of(200);
}

#[tokio::test]
async fn a_file_belongs_to_its_conversation_and_not_to_its_worker() {
    let world = World::new().await;
    let (first, job) = world.busy_worker("first", CONVERSATION).await;
    let file = upload(&first, PNG).await;
    let (other, _) = world.busy_worker("other", "another").await;
    let idle = world.worker("idle").await;
    assert_eq!(other.get(&file).await.problem(), (404, "not_found"));
    assert_eq!(idle.get(&file).await.problem(), (409, "conflict"), "the worker has no conversation");
    assert_eq!(idle.post("media", announcement(PNG)).await.problem(), (409, "conflict"));

    first.complete(&job, json!({})).await.body_of(200);
    first.poll(json!({"conversationId": CONVERSATION, "release": true, "discard": true})).await;
    assert_eq!(
        first.get(&file).await.problem(),
        (409, "conflict"),
        "the worker no longer owns the conversation"
    );
    world.enqueue(CONVERSATION).await;
    assert_eq!(idle.claim(json!({})).await["conversationId"], CONVERSATION);
    idle.get(&file).await.body_of(200);
}

#[tokio::test]
pub async fn media_expire_after_seven_days() {
    let world = World::new().await;
    let objects = world.bundle.restricted_boot("effects").objects().unwrap();
    let effects = world.bundle.restricted_app("effects");
    let (worker, _) = world.busy_worker("w", CONVERSATION).await;
    let (file, never) = (upload(&worker, PNG).await, path(&announce(&worker, PNG).await));
    world.advance(Millis::new(Millis::from_days(7).as_millis() - 1));
    worker.get(&file).await.body_of(200);
    assert_eq!(expire(&effects, &objects).await.unwrap(), Expired::default());
    world.advance(Millis::new(1));
    assert_eq!(
        worker.get(&file).await.problem(),
        (404, "not_found"),
        "the expired file is not served before the sweep"
    );
    assert!(is_in_bucket(&world, &file).await);
    assert_eq!(expire(&effects, &objects).await.unwrap(), Expired { gone: 2, failed: 0 });
    assert!(!is_in_bucket(&world, &file).await && !is_in_bucket(&world, &never).await);
    assert_eq!(expire(&effects, &objects).await.unwrap(), Expired::default());
}

#[tokio::test]
async fn an_invalid_announcement_of_media_is_refused_with_its_field() {
    let world = World::new().await;
    let (worker, _) = world.busy_worker("w", CONVERSATION).await;
    for (field, value) in [
        ("sizeBytes", json!(0)),
        ("sizeBytes", json!(MAX_SIZE_BYTES + 1)),
        ("sha256", json!("A".repeat(64))),
        ("contentType", json!("picture")),
        ("contentType", json!("image/png\r\nx: y")),
        ("colour", json!("red")),
    ] {
        let mut body = announcement(PNG);
        body[field] = value;
        let refused = worker.post("media", body).await;
        assert_eq!((refused.problem().0, refused.pointer()), (422, &*format!("/{field}")));
    }
    assert_eq!(worker.get("media/nonsense").await.pointer(), "/storageId");
}

#[tokio::test]
async fn announcements_of_a_worker_have_a_daily_limit() {
    let world = World::new().await;
    let (worker, job) = world.busy_worker("w", CONVERSATION).await;
    let (other, _) = world.busy_worker("other", "another").await;
    worker.complete(&job, json!({})).await.body_of(200);
    let archive = json!({
        "conversationId": CONVERSATION, "reason": "manual", "sizeBytes": 5_u64 << 30, "sha256": "a".repeat(64),
    });
    let largest = json!({"sizeBytes": MAX_SIZE_BYTES, "sha256": "a".repeat(64)});
    for _ in 0..25 {
        worker.post("snapshots", archive.clone()).await.body_of(201);
    }
    for _ in 0..12 {
        worker.post("media", largest.clone()).await.body_of(201);
    }
    let before = world.items().await;
    for (path, body) in [("snapshots", &archive), ("media", &largest)] {
        assert_eq!(worker.post(path, body.clone()).await.problem(), (429, "rate_limited"), "{path}");
    }
    assert_eq!(world.items().await, before);
    other.post("media", largest.clone()).await.body_of(201);
    // One file costs the 512th part of the daily limit.
    world.advance(Millis::new(24 * 60 * 60 * 1_000 / 512));
    worker.post("media", largest.clone()).await.body_of(201);
    assert_eq!(worker.post("media", largest).await.problem(), (429, "rate_limited"));
}
