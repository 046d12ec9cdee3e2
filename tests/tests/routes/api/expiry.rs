//! No reader sees an expired item, also before DynamoDB has deleted it.

use af_domain::time::Millis;
use af_tests::calls::Answer;
use serde_json::{Value, json};

use crate::api::{World, each, message};

const DAY: Millis = Millis::from_days(1);
/// The largest number of reconcile runs in which a silent worker is drained, stopped and torn down.
const MAX_RUNS: usize = 5;

/// Runs `assert_gone` on a deployment with an expired item, before and after DynamoDB has deleted the item.
async fn before_and_after_the_deletion<F: Future<Output = (World, String)>>(
    expire: impl Fn() -> F,
    assert_gone: impl AsyncFn(&World, &str),
) {
    for deleted in [false, true] {
        let (world, id) = expire().await;
        if deleted {
            // The engine deletes an item one second after its expiry.
            world.bundle.clock.advance(Millis::from_secs(1));
            assert!(world.bundle.aws.engine().sweep_ttl().await.unwrap() > 0, "no item had expired");
        }
        assert_gone(&world, &id).await;
    }
}

fn keyed(world: &World, text: &str) -> af_tests::calls::Call {
    let body = message("user-agent:support:ann", text);
    world.api.post("/v1/messages", body).header("idempotency-key", "monthly")
}

/// A done message, shortly before its expiry, and its id.
async fn almost_expired() -> (World, String) {
    let world = World::new().await;
    world.bind("ann", "support").await;
    let id = keyed(&world, "report").send().await.body_of(202)["messageId"].as_str().unwrap().to_owned();
    let token = world.worker("w").await;
    world.complete_one(&token, None, json!([])).await;
    world.bundle.clock.advance(Millis::new(30 * DAY.as_millis() - 1));
    (world, id)
}

async fn listed(world: &World, path: &str) -> Vec<String> {
    let page = world.api.get(path).send().await.body_of(200);
    each(&page, "messageId").into_iter().map(str::to_owned).collect()
}

fn is_missing(answer: &Answer) {
    assert_eq!(answer.problem(), (404, "not_found"));
}

const CONVERSATION: &str = "/v1/users/ann/agents/support/conversation";
const LIST: &str = "/v1/queue/messages?conversationId=user-agent:support:ann";

#[tokio::test]
async fn a_message_is_kept_until_its_expiry() {
    let (world, id) = almost_expired().await;
    assert_eq!(world.bundle.aws.engine().sweep_ttl().await.unwrap(), 0);
    world.api.get(&format!("/v1/messages/{id}")).send().await.body_of(200);
    assert_eq!(listed(&world, LIST).await, std::slice::from_ref(&id));
    let again = keyed(&world, "report").send().await.body_of(202);
    assert_eq!(again, json!({"messageId": id, "duplicate": true}));
}

#[tokio::test]
async fn no_reader_sees_an_expired_message() {
    let expired = || async {
        let (world, id) = almost_expired().await;
        world.bundle.clock.advance(Millis::new(1));
        (world, id)
    };
    before_and_after_the_deletion(expired, async |world: &World, id: &str| {
        is_missing(&world.api.get(&format!("/v1/messages/{id}")).send().await);
        is_missing(&world.api.get(&format!("/v1/users/ann/messages/{id}")).send().await);
        assert!(listed(world, LIST).await.is_empty());
        let view = world.api.get(CONVERSATION).send().await.body_of(200);
        assert_eq!((&view["queueItems"], &view["latestMessageId"]), (&json!([]), &Value::Null));
        // A new message can have the same id and shows nothing of the old message.
        let again = keyed(world, "another report").send().await.body_of(202);
        assert_eq!(again, json!({"messageId": id, "duplicate": false}));
        let shown = world.api.get(&format!("/v1/messages/{id}")).send().await.body_of(200);
        assert_eq!(
            (&shown["status"], &shown["payload"]["messageText"]),
            (&json!("queued"), &json!("another report"))
        );
        assert!(shown["reply"].is_null() && shown["finishedAt"].is_null());
        assert_eq!(world.bundle.aws.engine().sweep_ttl().await.unwrap(), 0, "the new message stays");
    })
    .await;
}

#[tokio::test]
async fn the_idempotency_key_of_a_message_is_kept_for_the_dedupe_retention() {
    let world = World::new().await;
    let dedupe = 400 * DAY.as_millis();
    world
        .api
        .put("/v1/config/policies", json!({"retention": {"dedupeMs": dedupe}}))
        .send()
        .await
        .body_of(200);
    world.expire_caches();
    let first = keyed(&world, "report").send().await.body_of(202);
    let token = world.worker("w").await;
    world.complete_one(&token, None, json!([])).await;
    world.bundle.clock.advance(Millis::new(dedupe - 1));
    assert_eq!(world.bundle.aws.engine().sweep_ttl().await.unwrap(), 0);
    let again = keyed(&world, "report").send().await.body_of(202);
    assert_eq!(again, json!({"messageId": first["messageId"], "duplicate": true}));
}

#[tokio::test]
async fn an_expired_key_is_invalid_and_not_listed() {
    let expired = || async {
        let world = World::new().await;
        let end = af_tests::bundle::START + Millis::new(500);
        let body = json!({"name": "short", "scopes": ["read"], "expiresAt": end.as_millis()});
        let made = world.api.post("/v1/keys", body).send().await.body_of(201);
        for _ in 0..4 {
            world.api.new_key(&["read"]).await;
        }
        let key = made["key"].as_str().unwrap().to_owned();
        world.api.get("/v1/agents").key(&key).send().await.body_of(200);
        world.bundle.clock.advance(Millis::new(1_000));
        (world, key)
    };
    before_and_after_the_deletion(expired, async |world: &World, key: &str| {
        assert_eq!(world.api.get("/v1/agents").key(key).send().await.problem(), (401, "unauthorized"));
        let id = key.split('_').nth(1).unwrap();
        is_missing(&world.api.delete(&format!("/v1/keys/{id}")).send().await);
        let mut query = "limit=2".to_owned();
        let mut pages = Vec::new();
        loop {
            let page = world.api.get(&format!("/v1/keys?{query}")).send().await.body_of(200);
            assert!(!each(&page, "keyId").contains(&id));
            pages.push(each(&page, "keyId").len());
            match page["nextCursor"].as_str() {
                Some(cursor) => query = format!("limit=2&cursor={cursor}"),
                None => break,
            }
        }
        assert_eq!(pages, [2, 2], "the page is filled with keys that have not expired");
    })
    .await;
}

#[tokio::test]
async fn a_stopped_worker_expires_and_its_id_can_be_used_again() {
    let expired = || async {
        let world = World::new().await;
        world.worker("w").await;
        for _ in 0..MAX_RUNS {
            world.bundle.clock.advance(Millis::from_secs(660));
            world.api.post("/v1/workers/reconcile", json!({})).send().await.body_of(200);
        }
        let shown = world.api.get("/v1/workers/w").send().await.body_of(200);
        assert_eq!(shown["status"], "stopped");
        let again = world.api.post("/v1/workers", json!({"workerId": "w"})).send().await;
        assert_eq!(again.problem(), (409, "already_exists"));
        world.bundle.clock.advance(Millis::from_days(30));
        (world, "w".to_owned())
    };
    before_and_after_the_deletion(expired, async |world: &World, id: &str| {
        is_missing(&world.api.get(&format!("/v1/workers/{id}")).send().await);
        world.worker(id).await;
        assert_eq!(world.api.get(&format!("/v1/workers/{id}")).send().await.body_of(200)["status"], "active");
    })
    .await;
}
