//! What a worker may still do that was told to leave: end what it runs, and keep its files.

use af_domain::ids::WorkerId;
use af_domain::worker::DrainReason;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::worker::{Hands, TALK, World};

const ARCHIVE: &[u8] = b"an archive";

fn path(job: &Value, what: &str) -> String {
    format!("messages/{}/{what}", job["messageId"].as_str().unwrap())
}

async fn draining(world: &World) -> (Hands<'_>, Value) {
    let (worker, job) = world.busy_worker("w", TALK).await;
    world.drain(&WorkerId::parse("w").unwrap(), DrainReason::Operator).await;
    (worker, job)
}

async fn keep(worker: &Hands<'_>) -> String {
    let sha256: String = Sha256::digest(ARCHIVE).iter().map(|byte| format!("{byte:02x}")).collect();
    let body =
        json!({"conversationId": TALK, "reason": "drain", "sizeBytes": ARCHIVE.len(), "sha256": sha256});
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
async fn a_draining_worker_ends_its_message_and_gets_no_other() {
    let world = World::new().await;
    let (worker, job) = draining(&world).await;
    world.enqueue(TALK).await;
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
    worker.complete(&job, json!({"reply": "bye"})).await.body_of(200);
    assert_eq!(world.message(&job["messageId"]).await["status"], "done");
    for body in [json!({}), json!({"conversationId": TALK}), json!({"conversationId": "another"})] {
        assert!(worker.claim(body.clone()).await.is_null(), "{body}");
        let polled = worker.poll(body).await;
        assert_eq!((&polled["control"]["shouldStop"], &polled["job"]), (&json!(true), &json!(null)));
    }
}

#[tokio::test]
async fn a_draining_worker_gives_its_message_back() {
    let world = World::new().await;
    let (worker, job) = draining(&world).await;
    let body =
        json!({"leaseId": job["leaseId"], "fence": job["fence"], "errorMessage": "I leave", "drained": true});
    assert_eq!(worker.post(&path(&job, "fail"), body).await.body_of(200)["requeued"], true);
}

#[tokio::test]
async fn with_its_final_snapshot_a_draining_worker_is_stopping_and_has_nothing_left_to_do() {
    let world = World::new().await;
    let (worker, job) = draining(&world).await;
    worker.complete(&job, json!({})).await.body_of(200);
    let snapshot = keep(&worker).await;
    let finalize = format!("snapshots/{snapshot}/finalize");
    worker.post(&finalize, json!({})).await.body_of(200);
    let shown = world.api.get("/v1/workers/w").send().await.body_of(200);
    assert_eq!(shown["status"], "stopping");
    assert_eq!(
        worker.post(&finalize, json!({})).await.body_of(200)["status"],
        "ready",
        "its answer was lost"
    );
    let control = worker.get("control").await.body_of(200)["control"].clone();
    assert_eq!((&control["shouldStop"], &control["reasons"]), (&json!(true), &json!(["unknown_worker"])));
    let latest = worker.get("snapshots/latest?conversationId=talk").await;
    assert_eq!(latest.problem(), (404, "not_found"), "it is not its conversation any more");
    assert_eq!(worker.get("skills").await.problem(), (401, "unauthorized"));
}

#[tokio::test]
async fn a_draining_worker_is_told_until_when_whichever_way_it_asks() {
    let world = World::new().await;
    let (worker, job) = draining(&world).await;
    let told = worker.poll(json!({})).await["control"].clone();
    let row = world.api.get("/v1/workers/w").send().await.body_of(200);
    assert_eq!((&told["drainBy"], told["drainBy"].is_u64()), (&row["drainBy"], true), "{row}");
    assert_eq!(worker.poll(json!({"conversationId": TALK})).await["control"], told);
    assert_eq!(worker.get("control?conversationId=talk").await.body_of(200)["control"], told);
    let lease = json!({"leaseId": job["leaseId"], "fence": job["fence"]});
    assert_eq!(worker.post(&path(&job, "heartbeat"), lease).await.body_of(200)["control"], told);
}

#[tokio::test]
async fn a_heartbeat_of_a_lease_that_is_lost_says_what_its_worker_shall_do() {
    let world = World::new().await;
    let (worker, job) = world.busy_worker("w", TALK).await;
    worker.complete(&job, json!({})).await.body_of(200);
    let beat = async || {
        let lease = json!({"leaseId": job["leaseId"], "fence": job["fence"]});
        let beat = worker.post(&path(&job, "heartbeat"), lease).await.body_of(200);
        assert_eq!(beat["held"], false);
        beat["control"].clone()
    };
    assert_eq!(beat().await, json!({"shouldStop": false, "reasons": [], "switch": false}));
    world.drain(&WorkerId::parse("w").unwrap(), DrainReason::Operator).await;
    let told = beat().await;
    assert_eq!(told, worker.poll(json!({})).await["control"]);
    assert_eq!((&told["reasons"], told["drainBy"].is_u64()), (&json!(["draining"]), true));
    let snapshot = keep(&worker).await;
    worker.post(&format!("snapshots/{snapshot}/finalize"), json!({})).await.body_of(200);
    assert_eq!(beat().await, json!({"shouldStop": true, "reasons": ["unknown_worker"], "switch": false}));
}
