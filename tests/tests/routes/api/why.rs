//! The reasons for which a message waits.

use af_domain::time::Millis;
use af_tests::bundle::START;
use serde_json::{Value, json};

use crate::api::{World, message};

impl World {
    async fn why(&self, id: &str) -> Value {
        self.api.get(&format!("/v1/queue/{id}/why")).send().await.body_of(200)
    }

    /// The reason and its end; the end is `Null` if it is unknown.
    async fn waits_for(&self, id: &str) -> (String, Value) {
        let why = self.why(id).await;
        assert!(!why["reason"].as_str().unwrap().is_empty());
        (why["waitsFor"].as_str().unwrap().to_owned(), why["until"].clone())
    }
}

fn waits(word: &str, until: impl Into<Value>) -> (String, Value) {
    (word.to_owned(), until.into())
}

fn at(since_start: u64) -> u64 {
    START.as_millis() + since_start
}

#[tokio::test]
async fn a_message_without_an_owner_waits_for_a_new_worker() {
    let world = World::new().await;
    let id = world.enqueue("c", "hello").await;
    assert_eq!(world.waits_for(&id).await, waits("new_worker", Value::Null));
    world.api.post("/v1/workers/reconcile", json!({})).send().await.body_of(200);
    let why = world.why(&id).await;
    assert_eq!(why["waitsFor"], "provider");
    assert!(why["reason"].as_str().unwrap().contains("providerConfig.kind"), "{why}");
    // A worker that is registered and never started changes nothing.
    world.worker("w").await;
    assert_eq!(world.why(&id).await["waitsFor"], "provider");
}

#[tokio::test]
async fn a_message_waits_for_the_next_poll_of_a_free_worker() {
    let world = World::new().await;
    let token = world.worker("w").await;
    world.poll(&token, json!({})).await;
    let id = world.enqueue("c", "hello").await;
    assert_eq!(world.waits_for(&id).await, waits("free_workers_poll", at(1_000)));
}

#[tokio::test]
async fn a_message_waits_for_a_place_in_a_full_pool() {
    let world = World::new().await;
    let policies = json!({"scaling": {"maxWorkers": 1}});
    world.api.put("/v1/config/policies", policies).send().await.body_of(200);
    world.enqueue("busy", "hello").await;
    let token = world.worker("w").await;
    world.poll(&token, json!({})).await;
    let id = world.enqueue("c", "hello").await;
    let why = world.why(&id).await;
    assert_eq!(why["waitsFor"], "place_in_pool");
    assert_eq!((&why["liveWorkers"], &why["maxWorkers"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn a_running_message_waits_for_its_worker_and_later_messages_wait_behind_it() {
    let world = World::new().await;
    let (first, second) = (world.enqueue("c", "one").await, world.enqueue("c", "two").await);
    let token = world.worker("w").await;
    let job = world.poll(&token, json!({})).await["job"].clone();
    let why = world.why(&first).await;
    assert_eq!((&why["status"], &why["waitsFor"]), (&json!("processing"), &json!("its_worker")));
    assert_eq!((&why["workerId"], &why["until"]), (&json!("w"), &json!(at(90_000))));
    let behind = world.why(&second).await;
    assert_eq!((&behind["waitsFor"], &behind["behindMessageId"]), (&json!("another_message"), &json!(first)));
    let fail = json!({"leaseId": job["leaseId"], "fence": job["fence"], "errorMessage": "no"});
    world.api.post(&format!("/v1/worker/messages/{first}/fail"), fail).key(&token).send().await.body_of(200);
    let retry_at = world.api.get(&format!("/v1/messages/{first}")).send().await.body_of(200);
    let retry_at = retry_at["scheduledFor"].as_u64().unwrap();
    assert_eq!(world.waits_for(&first).await, waits("retry_time", retry_at));
    assert_eq!(world.waits_for(&second).await, waits("another_message", retry_at));
    world.bundle.clock.advance(Millis::from_secs(5));
    assert_eq!(world.waits_for(&first).await, waits("owners_poll", at(6_000)));
    world.complete_one(&token, Some("c"), json!([])).await;
    let done = world.why(&first).await;
    assert_eq!((&done["status"], &done["waitsFor"]), (&json!("done"), &json!("nothing")));
    assert_eq!(world.waits_for(&second).await.0, "owners_poll");
}

#[tokio::test]
async fn a_scheduled_message_waits_for_its_time() {
    let world = World::new().await;
    let mut body = message("c", "later");
    body["scheduledFor"] = json!(at(60_000));
    let id = world.api.post("/v1/messages", body).send().await.body_of(202)["messageId"].clone();
    assert_eq!(world.waits_for(id.as_str().unwrap()).await, waits("scheduled_time", at(60_000)));
}

#[tokio::test]
async fn a_message_waits_for_an_owner_that_starts_or_is_silent() {
    let world = World::new().await;
    let id = world.enqueue("c", "hello").await;
    let body = json!({"workerId": "w", "conversationId": "c"});
    let made = world.api.post("/v1/workers", body).send().await.body_of(201);
    assert_eq!(world.waits_for(&id).await, waits("workers_start", at(600_000)));
    let token = made["token"].as_str().unwrap();
    world.complete_one(token, Some("c"), json!([])).await;
    let next = world.enqueue("c", "again").await;
    assert_eq!(world.waits_for(&next).await, waits("owners_poll", at(1_000)));
    world.bundle.clock.advance(Millis::from_secs(121));
    let why = world.why(&next).await;
    assert_eq!((&why["waitsFor"], &why["workerId"]), (&json!("reconcile"), &json!("w")), "{why}");
}

#[tokio::test]
async fn the_reason_of_an_unknown_message_is_not_found() {
    let world = World::new().await;
    let missing = world.api.get("/v1/queue/unknown/why").send().await;
    assert_eq!(missing.problem(), (404, "not_found"));
}

#[tokio::test]
async fn a_message_behind_a_worker_that_was_sent_away_names_the_drain_reason() {
    use af_domain::ids::WorkerId;
    use af_domain::policy::Policies;
    use af_domain::worker::DrainReason;
    let world = World::new().await;
    world.enqueue("c", "hello").await;
    let token = world.worker("w").await;
    world.complete_one(&token, None, json!([])).await;
    let id = world.enqueue("c", "again").await;
    let policies = Policies::default();
    let row = world.app.store.worker_now(&WorkerId::parse("w").unwrap()).await.unwrap().unwrap();
    let key = row.assignment.clone().unwrap().key;
    let conversation = world.app.store.conversation(&key, true).await.unwrap();
    let drained = row.drain(DrainReason::Outdated, world.app.now(), &policies).unwrap();
    world.app.store.drain_if_active(&drained, conversation.as_ref(), &policies).await.unwrap();
    let why = world.why(&id).await;
    assert_eq!(why["waitsFor"], "owners_drain");
    assert!(why["reason"].as_str().unwrap().contains("(outdated)"), "{why}");
    // A row that was moved by hand leaves its conversation behind, until reconcile frees it.
    let conversation = world.app.store.conversation(&key, true).await.unwrap();
    let stopping = drained.finish_drain(conversation.as_ref(), world.app.now()).unwrap();
    world.app.store.finish_drain_if_draining(&stopping, None, &policies).await.unwrap();
    let why = world.why(&id).await;
    assert_eq!(why["waitsFor"], "reconcile");
    assert!(why["reason"].as_str().unwrap().contains("is stopping (outdated)"), "{why}");
}
