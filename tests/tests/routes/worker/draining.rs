//! The calls of a draining worker: it may finish its message and upload its final snapshot.

use af_domain::ids::WorkerId;
use af_domain::worker::DrainReason;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::worker::{CONVERSATION, TestWorker, World};

const ARCHIVE: &[u8] = b"an archive";

fn path(job: &Value, action: &str) -> String {
    format!("messages/{}/{action}", job["messageId"].as_str().unwrap())
}

async fn draining_worker(world: &World) -> (TestWorker<'_>, Value) {
    let (worker, job) = world.busy_worker("w", CONVERSATION).await;
    world.drain(&WorkerId::parse("w").unwrap(), DrainReason::Operator).await;
    (worker, job)
}

async fn upload(worker: &TestWorker<'_>) -> String {
    let sha256: String = Sha256::digest(ARCHIVE).iter().map(|byte| format!("{byte:02x}")).collect();
    let body = json!({"conversationId": CONVERSATION, "reason": "drain", "sizeBytes": ARCHIVE.len(), "sha256": sha256});
    let prepared = worker.post("snapshots", body).await.body_of(201);
    let mut request = worker.world.http.put(prepared["uploadUrl"].as_str().unwrap()).body(ARCHIVE);
    for (name, value) in prepared["headers"].as_object().unwrap() {
        if name != "content-length" {
            request = request.header(name, value.as_str().unwrap());
        }
    }
    assert_eq!(request.send().await.unwrap().status().as_u16(), 200);
    prepared["snapshotId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_draining_worker_completes_its_message_and_claims_no_other() {
    let world = World::new().await;
    let (worker, job) = draining_worker(&world).await;
    world.enqueue(CONVERSATION).await;
    world.enqueue("another").await;
    let lease = json!({"leaseId": job["leaseId"], "fence": job["fence"]});
    let with = |more: Value| {
        let mut body = lease.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let beat = worker.post(&path(&job, "heartbeat"), lease.clone()).await.body_of(200);
    assert_eq!((&beat["held"], &beat["control"]["shouldStop"]), (&json!(true), &json!(true)));
    worker.get(&path(&job, "bundle")).await.body_of(200);
    let metadata = with(json!({"metadata": {"a": "b"}}));
    worker.post(&path(&job, "metadata"), metadata).await.body_of(200);
    let entries = with(json!({"ordinal": 0, "messages": [{"role": "assistant", "content": "bye"}]}));
    worker.post("conversations/talk/history", entries).await.body_of(200);
    worker.post("media", json!({"sizeBytes": 1, "sha256": "a".repeat(64)})).await.body_of(201);
    worker.get("skills").await.body_of(200);
    worker.complete(&job, json!({"reply": {"text": "bye"}})).await.body_of(200);
    assert_eq!(world.message(&job["messageId"]).await["status"], "done");
    for body in [json!({}), json!({"conversationId": CONVERSATION}), json!({"conversationId": "another"})] {
        assert!(worker.claim(body.clone()).await.is_null(), "{body}");
        let polled = worker.poll(body).await;
        assert_eq!((&polled["control"]["shouldStop"], &polled["job"]), (&json!(true), &json!(null)));
    }
}

#[tokio::test]
async fn a_draining_worker_hands_its_message_back() {
    let world = World::new().await;
    let (worker, job) = draining_worker(&world).await;
    let body =
        json!({"leaseId": job["leaseId"], "fence": job["fence"], "errorMessage": "I leave", "drained": true});
    assert_eq!(worker.post(&path(&job, "fail"), body).await.body_of(200)["requeued"], true);
}

#[tokio::test]
async fn a_worker_is_stopping_after_its_final_snapshot() {
    let world = World::new().await;
    let (worker, job) = draining_worker(&world).await;
    worker.complete(&job, json!({})).await.body_of(200);
    let snapshot = upload(&worker).await;
    let finalize = format!("snapshots/{snapshot}/finalize");
    worker.post(&finalize, json!({})).await.body_of(200);
    let shown = world.api.get("/v1/workers/w").send().await.body_of(200);
    assert_eq!(shown["status"], "stopping");
    assert_eq!(
        worker.post(&finalize, json!({})).await.body_of(200)["status"],
        "ready",
        "a repetition gets the same response"
    );
    let control = worker.get("control").await.body_of(200)["control"].clone();
    assert_eq!((&control["shouldStop"], &control["reasons"]), (&json!(true), &json!(["unknown_worker"])));
    let latest = worker.get("snapshots/latest?conversationId=talk").await;
    assert_eq!(latest.problem(), (404, "not_found"), "the worker no longer owns the conversation");
    assert_eq!(worker.get("skills").await.problem(), (401, "unauthorized"));
}

#[tokio::test]
async fn each_control_state_of_a_draining_worker_has_its_deadline() {
    let world = World::new().await;
    let (worker, job) = draining_worker(&world).await;
    let control = worker.poll(json!({})).await["control"].clone();
    let row = world.api.get("/v1/workers/w").send().await.body_of(200);
    assert_eq!((&control["drainBy"], control["drainBy"].is_u64()), (&row["drainBy"], true), "{row}");
    assert_eq!(worker.poll(json!({"conversationId": CONVERSATION})).await["control"], control);
    assert_eq!(worker.get("control?conversationId=talk").await.body_of(200)["control"], control);
    let lease = json!({"leaseId": job["leaseId"], "fence": job["fence"]});
    assert_eq!(worker.post(&path(&job, "heartbeat"), lease).await.body_of(200)["control"], control);
}

#[tokio::test]
async fn a_heartbeat_without_a_lease_returns_the_control_state() {
    let world = World::new().await;
    let (worker, job) = world.busy_worker("w", CONVERSATION).await;
    worker.complete(&job, json!({})).await.body_of(200);
    let beat = async || {
        let lease = json!({"leaseId": job["leaseId"], "fence": job["fence"]});
        let beat = worker.post(&path(&job, "heartbeat"), lease).await.body_of(200);
        assert_eq!(beat["held"], false);
        beat["control"].clone()
    };
    assert_eq!(beat().await, json!({"shouldStop": false, "reasons": [], "switch": false}));
    world.drain(&WorkerId::parse("w").unwrap(), DrainReason::Operator).await;
    let control = beat().await;
    assert_eq!(control, worker.poll(json!({})).await["control"]);
    assert_eq!((&control["reasons"], control["drainBy"].is_u64()), (&json!(["draining"]), true));
    let snapshot = upload(&worker).await;
    worker.post(&format!("snapshots/{snapshot}/finalize"), json!({})).await.body_of(200);
    assert_eq!(beat().await, json!({"shouldStop": true, "reasons": ["unknown_worker"], "switch": false}));
}
