use af_domain::time::Millis;
use af_tests::bundle::START;
use serde_json::json;

use crate::api::{World, message};

#[tokio::test]
async fn an_enqueued_message_is_shown_as_it_was_sent() {
    let world = World::new().await;
    let mut body = message("c-1", "hello");
    body["priority"] = json!(70);
    body["payload"]["externalMessageId"] = json!("x-1");
    body["payload"]["rawUpdateJson"] = json!("{}");
    body["payload"]["metadata"] = json!({"colour": "red"});
    let accepted = world.api.post("/v1/messages", body).send().await.body_of(202);
    assert_eq!(accepted["duplicate"], false);
    let id = accepted["messageId"].as_str().unwrap();
    let shown = world.api.get(&format!("/v1/messages/{id}")).send().await.body_of(200);
    let now = START.as_millis();
    let expected = json!({
        "messageId": id, "conversationId": "c-1", "agentKey": "support", "status": "queued", "priority": 70,
        "attempts": 0, "scheduledFor": now, "enqueuedAt": now,
        "payload": {
            "provider": "app", "providerUserId": "u-1", "messageText": "hello", "externalMessageId": "x-1",
            "rawUpdateJson": "{}", "metadata": {"colour": "red", "providerUserId": "u-1"}, "attachments": [],
        },
        "attemptLog": [],
    });
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn a_message_shows_each_status_of_its_lifecycle() {
    let world = World::new().await;
    let id = world.enqueue("c", "hello").await;
    let path = format!("/v1/messages/{id}");
    let token = world.worker("w-1").await;
    let job = world.poll(&token, json!({})).await["job"].clone();
    let beat = json!({"leaseId": job["leaseId"], "fence": job["fence"], "progress": "thinking"});
    let beat_path = format!("/v1/worker/messages/{id}/heartbeat");
    world.api.post(&beat_path, beat).key(&token).send().await.body_of(200);
    let running = world.api.get(&path).send().await.body_of(200);
    assert_eq!((&running["status"], &running["attempts"]), (&json!("processing"), &json!(1)));
    assert_eq!(running["progress"], "thinking");
    assert!(running["scheduledFor"].is_null());
    let fail = json!({"leaseId": job["leaseId"], "fence": job["fence"], "errorMessage": "model is down"});
    world.api.post(&format!("/v1/worker/messages/{id}/fail"), fail).key(&token).send().await.body_of(200);
    let waiting = world.api.get(&path).send().await.body_of(200);
    assert_eq!((&waiting["status"], &waiting["lastError"]), (&json!("queued"), &json!("model is down")));
    assert!(waiting["scheduledFor"].as_u64().unwrap() > START.as_millis(), "the message waits for its retry");
    world.bundle.clock.advance(Millis::from_secs(5));
    world.complete_one(&token, Some("c"), json!([])).await;
    let done = world.api.get(&path).send().await.body_of(200);
    assert_eq!((&done["status"], &done["attempts"]), (&json!("done"), &json!(2)));
    assert_eq!(done["reply"], "hi there");
    assert_eq!(done["finishedAt"], START.as_millis() + 5_000);
}

#[tokio::test]
async fn repeated_calls_with_one_idempotency_key_make_one_message() {
    let world = World::new().await;
    let post = |body| world.api.post("/v1/messages", body).header("idempotency-key", "order-7");
    let first = post(message("c", "hello")).send().await.body_of(202);
    let items = world.items().await;
    world.expire_caches();
    let again = post(message("c", "hello")).send().await.body_of(202);
    assert_eq!(again, json!({"messageId": first["messageId"], "duplicate": true}));
    assert_eq!(world.items().await, items);
    let other = world.refused(post(message("c", "good bye"))).await;
    assert_eq!(other.problem(), (422, "idempotency_mismatch"));
    let app = world.api.new_key(&["app"]).await;
    let of_another = post(message("c", "hello")).key(&app).send().await.body_of(202);
    assert_ne!(of_another["messageId"], first["messageId"], "each caller has its own key space");
}

#[tokio::test]
async fn concurrent_calls_with_one_idempotency_key_make_one_message() {
    let world = World::new().await;
    let post = || world.api.post("/v1/messages", message("c", "hello")).header("idempotency-key", "k").send();
    let (one, other) = tokio::join!(post(), post());
    let (one, other) = (one.body_of(202), other.body_of(202));
    assert_eq!(one["messageId"], other["messageId"]);
    assert_ne!(one["duplicate"], other["duplicate"]);
    let listed = world.api.get("/v1/queue/messages?conversationId=c").send().await.body_of(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_refused_enqueue_has_its_reason() {
    let world = World::new().await;
    world.enqueue("c", "hello").await;
    world.agent("sales").await;
    world.api.put("/v1/agents/asleep", json!({"version": "1", "enabled": false})).send().await.body_of(200);
    let year = Millis::from_days(365).as_millis();
    let too_large = "x".repeat(256 * 1024);
    for (pointer, value, problem) in [
        ("/agentKey", json!("unknown"), (404, "not_found")),
        ("/agentKey", json!("asleep"), (409, "agent_disabled")),
        ("/agentKey", json!("sales"), (409, "agent_mismatch")),
        ("/payload/provider", json!(" "), (422, "invalid_field")),
        ("/payload/providerUserId", json!(""), (422, "invalid_field")),
        ("/payload/messageText", json!(too_large), (413, "payload_too_large")),
        ("/priority", json!(101), (422, "invalid_field")),
        ("/priority", json!(-1), (422, "invalid_field")),
        ("/maxAttempts", json!(0), (422, "invalid_field")),
        ("/maxAttempts", json!(101), (422, "invalid_field")),
        ("/scheduledFor", json!(START.as_millis() + 11 * year), (422, "invalid_field")),
        ("/scheduledFor", json!("tomorrow"), (422, "invalid_field")),
    ] {
        let mut body = message("c", "hello");
        match pointer.rsplit_once('/') {
            Some(("", name)) => body[name] = value,
            Some((_, name)) => body["payload"][name] = value,
            None => unreachable!(),
        }
        let answer = world.refused(world.api.post("/v1/messages", body)).await;
        assert_eq!(answer.problem(), problem, "{pointer}");
        if matches!(problem.0, 413 | 422) {
            assert_eq!(answer.pointer(), pointer);
        }
    }
}

#[tokio::test]
async fn a_full_queue_is_refused_with_a_retry_time() {
    let world = World::new().await;
    let policies = json!({"queue": {"maxPendingPerConversation": 2}});
    world.api.put("/v1/config/policies", policies).send().await.body_of(200);
    world.enqueue("c", "one").await;
    world.enqueue("c", "two").await;
    let large = "x".repeat(8 * 1024);
    for text in ["three", &large] {
        let answer = world.refused(world.api.post("/v1/messages", message("c", text))).await;
        assert_eq!(answer.problem(), (429, "queue_full"));
        assert_eq!(answer.headers["retry-after"], "30");
    }
    world.enqueue("other", "one").await;
}

#[tokio::test]
async fn a_large_payload_is_stored_whole_and_a_refused_one_does_not_replace_it() {
    let world = World::new().await;
    let large = |c: &str| message("c", &c.repeat(100 * 1024));
    let post = |body| world.api.post("/v1/messages", body).header("idempotency-key", "k");
    let id = post(large("a")).send().await.body_of(202)["messageId"].as_str().unwrap().to_owned();
    assert_eq!(world.refused(post(large("b"))).await.problem(), (422, "idempotency_mismatch"));
    let mut foreign = large("c");
    world.agent("sales").await;
    foreign["agentKey"] = json!("sales");
    assert_eq!(
        world.refused(world.api.post("/v1/messages", foreign)).await.problem(),
        (409, "agent_mismatch")
    );
    let again = post(large("a")).send().await.body_of(202);
    assert_eq!(again, json!({"messageId": id, "duplicate": true}));
    let shown = world.api.get(&format!("/v1/messages/{id}")).send().await.body_of(200);
    assert_eq!(shown["payload"]["messageText"], "a".repeat(100 * 1024));
    let listed = world.api.get("/v1/queue/messages?conversationId=c").send().await.body_of(200);
    assert!(listed["items"][0]["payload"].is_null(), "lists leave large payloads out");
    let token = world.worker("w").await;
    let polled = world.poll(&token, json!({})).await;
    assert_eq!(polled["job"]["payload"]["messageText"], "a".repeat(100 * 1024));
}

#[tokio::test]
async fn an_unknown_message_is_not_found() {
    let world = World::new().await;
    let missing = world.api.get("/v1/messages/tg:1:2").send().await;
    assert_eq!(missing.problem(), (404, "not_found"));
    let odd = world.api.get("/v1/messages/a%20b").send().await;
    assert_eq!((odd.problem(), odd.pointer()), ((422, "invalid_field"), "/messageId"));
}

#[tokio::test]
async fn a_scheduled_message_waits_until_it_is_due() {
    let world = World::new().await;
    let at = START.as_millis() + 60_000;
    let mut body = message("c", "later");
    body["scheduledFor"] = json!(at);
    let id = world.api.post("/v1/messages", body).send().await.body_of(202)["messageId"].clone();
    let token = world.worker("w").await;
    assert!(world.poll(&token, json!({})).await["job"].is_null());
    let shown = world.api.get(&format!("/v1/messages/{}", id.as_str().unwrap())).send().await.body_of(200);
    assert_eq!(shown["scheduledFor"], at);
}
