//! What single functions answer, beside the ordinary course of an image's life.

use af_app::access::worker_token::TOKEN_GOOD_FOR;
use af_domain::policy::Policies;
use af_domain::time::Millis;
use serde_json::{Value, json};

use crate::{Image, TALK, World};

const MINUTE: Millis = Millis::from_secs(60);

async fn should_stop(image: &Image<'_>) -> bool {
    let answer = image.mine("workerControlState", json!({})).await;
    let stop = answer["shouldStop"].as_bool().unwrap();
    assert_eq!(answer, json!({"shouldStop": stop}), "and nothing else");
    stop
}

async fn bundle_of(image: &Image<'_>, job: &Value) -> Value {
    let args = json!({"messageId": job["messageId"], "workspaceId": "default"});
    image.value("workerHydrationBundle", args).await
}

#[tokio::test]
async fn any_namespace_any_of_the_three_routes_and_unknown_fields_will_do() {
    let world = World::new().await;
    let image = world.image("w", None).await;
    let success = (200, json!({"status": "success", "value": {"shouldStop": false}}));
    for path in [
        "agentFactory:workerControlState",
        "a/b.js:workerControlState",
        "x:y:workerControlState",
        "workerControlState",
    ] {
        for kind in ["query", "mutation", "action"] {
            let args = json!({"workerId": "w", "colour": "red"});
            let named = json!({"path": path, "args": args, "format": "json", "colour": "red"});
            assert_eq!(image.send(kind, &named).await, success, "{path} at {kind}");
            let listed = json!({"path": path, "args": [args], "format": "convex_encoded_json"});
            assert_eq!(image.send(kind, &listed).await, success, "{path} at {kind}");
        }
    }
    let (status, _) = image.send("subscription", &json!({"path": "a:workerControlState"})).await;
    assert_eq!(status, 404, "the gateway knows these three");
}

#[tokio::test]
async fn a_worker_is_told_to_stop_when_it_is_not_active() {
    let world = World::new().await;
    let (image, job) = world.image_at_work("w").await;
    assert!(!should_stop(&image).await);
    image.of(&job, "workerComplete", json!({})).await;
    let policies = Policies::default();
    let silence = policies.lease.stale_after;
    world.advance(silence);
    assert!(should_stop(&image).await, "it was silent for too long before this call");
    assert!(!should_stop(&image).await, "which was a sign of life");
    world.advance(policies.scaling.idle_timeout);
    world.reconcile().await;
    assert_eq!(world.worker_row("w").await["status"], "draining");
    assert!(should_stop(&image).await);
    world.advance(policies.scaling.drain_timeout);
    world.reconcile().await;
    assert_eq!(world.worker_row("w").await["status"], "stopped");
    assert!(should_stop(&image).await, "its row is history");
}

#[tokio::test]
async fn a_worker_is_told_to_stop_when_it_was_idle_for_its_time_although_nobody_drained_it() {
    let world = World::new().await;
    let (image, job) = world.image_at_work("w").await;
    image.of(&job, "workerComplete", json!({})).await;
    let minutes = Policies::default().scaling.idle_timeout.as_millis() / MINUTE.as_millis();
    for minute in 1..minutes {
        world.advance(MINUTE);
        assert!(!should_stop(&image).await, "minute {minute}");
    }
    world.advance(MINUTE);
    assert!(should_stop(&image).await);
    world.enqueue(TALK, "telegram", "wait").await;
    assert!(!should_stop(&image).await, "there is work for it");
    assert_eq!(world.worker_row("w").await["status"], "active", "a question changes nothing");
}

#[tokio::test]
async fn nobody_is_told_to_stop_for_being_idle_where_some_are_kept() {
    let world = World::new().await;
    let kept = json!({"scaling": {"minIdleWorkers": 1}, "lease": {"staleAfterMs": 7_200_000}});
    world.api.put("/v1/config/policies", kept).send().await.body_of(200);
    world.advance(MINUTE);
    let image = world.image("w", None).await;
    assert!(!should_stop(&image).await);
    world.advance(Policies::default().scaling.idle_timeout);
    assert!(!should_stop(&image).await, "reconcile decides who goes");
}

#[tokio::test]
async fn an_expired_token_is_told_to_stop_and_opens_nothing_else() {
    let world = World::new().await;
    let (image, job) = world.image_at_work("w").await;
    world.advance(TOKEN_GOOD_FOR);
    assert!(should_stop(&image).await);
    let before = world.items().await;
    for function in ["workerClaim", "workerHeartbeat", "workerGlobalSkillsManifest", "unknown"] {
        let args = json!({"workerId": "w", "messageId": job["messageId"], "leaseId": job["leaseId"]});
        let expected = json!({"status": "error", "errorMessage": "this worker token has expired"});
        assert_eq!(image.call(function, args).await, (200, expected), "{function}");
    }
    let (status, _) = image.post(&json!(format!("{}/media", image.base)), b"file".to_vec()).await;
    assert_eq!(status, 401);
    assert_eq!(world.items().await, before);
}

#[tokio::test]
async fn a_bundle_is_null_only_without_the_lease() {
    let world = World::new().await;
    let (image, job) = world.image_at_work("w").await;
    assert_eq!(bundle_of(&image, &job).await["messageId"], job["messageId"]);
    let other = world.image("other", None).await;
    assert_eq!(bundle_of(&other, &job).await, Value::Null, "another's message");
    for unknown in ["m", "not/an/id"] {
        assert_eq!(bundle_of(&image, &json!({"messageId": unknown})).await, Value::Null, "{unknown}");
    }
    image.of(&job, "workerComplete", json!({})).await;
    assert_eq!(bundle_of(&image, &job).await, Value::Null, "a message that has ended");
}

#[tokio::test]
async fn a_conversation_without_telegram_has_a_token_that_opens_nothing() {
    let world = World::new().await;
    world.enqueue(TALK, "app", "hello").await;
    let image = world.image("w", Some(TALK)).await;
    let bundle = bundle_of(&image, &image.claim().await).await;
    assert_eq!(bundle["payload"]["provider"], "app");
    assert_eq!(bundle["telegramBotToken"], "0:this-conversation-has-no-bot");
}

#[tokio::test]
async fn a_telegram_conversation_whose_agent_has_no_token_is_given_none() {
    let world = World::new().await;
    world.api.put("/v1/agents/demo", json!({"version": "2", "secretsRef": []})).send().await.body_of(200);
    world.advance(MINUTE);
    let (image, job) = world.image_at_work("w").await;
    assert_eq!(bundle_of(&image, &job).await["telegramBotToken"], Value::Null);
}

#[tokio::test]
async fn a_bundle_has_what_bridge_skills_need_and_null_for_what_nobody_set() {
    let world = World::new().await;
    let key = json!({"plaintextValue": "k3y"});
    world.api.put("/v1/secrets/agent-bridge.serviceKey", key).send().await.body_of(200);
    let bridge = json!({"enabled": true, "baseUrl": "https://crm.example/bridge"});
    let agent = json!({"version": "2", "bridgeConfig": bridge});
    world.api.put("/v1/agents/demo", agent).send().await.body_of(200);
    world.advance(MINUTE);
    let (image, job) = world.image_at_work("w").await;
    let expected = json!({
        "baseUrl": "https://crm.example/bridge", "appBaseUrlMapJson": null, "serviceId": null, "appKey": null,
        "serviceKey": "k3y", "serviceKeySecretRef": "agent-bridge.serviceKey", "botIdentity": null,
    });
    assert_eq!(bundle_of(&image, &job).await["bridgeRuntimeConfig"], expected);
}

#[tokio::test]
async fn the_payload_has_what_came_with_the_message() {
    let world = World::new().await;
    let body = json!({
        "conversationId": TALK, "agentKey": "demo",
        "payload": {
            "provider": "telegram", "providerUserId": "555", "messageText": "hello", "externalMessageId": "9",
            "rawUpdateJson": "{}", "metadata": {"colour": "red"},
        },
    });
    world.api.post("/v1/messages", body).send().await.body_of(202);
    let image = world.image("w", Some(TALK)).await;
    let expected = json!({
        "provider": "telegram", "providerUserId": "555", "messageText": "hello", "externalMessageId": "9",
        "rawUpdateJson": "{}", "metadata": {"colour": "red", "providerUserId": "555"}, "attachments": [],
    });
    let job = image.claim().await;
    assert_eq!((&job["payload"], &bundle_of(&image, &job).await["payload"]), (&expected, &expected));
}

#[tokio::test]
async fn an_image_gets_messages_of_its_own_conversation_only() {
    let world = World::new().await;
    world.enqueue("another", "telegram", "first").await;
    world.enqueue(TALK, "telegram", "second").await;
    let image = world.image("w", Some(TALK)).await;
    let another = json!({"conversationId": "another"});
    assert_eq!(image.mine("workerClaim", another).await, Value::Null);
    assert_eq!(
        image.mine("workerClaim", json!({})).await["conversationId"],
        TALK,
        "it is pinned to this one"
    );
    let free = world.image("free", None).await;
    let taken = json!({"conversationId": TALK});
    assert_eq!(free.mine("workerClaim", taken).await, Value::Null, "it has an owner");
    assert_eq!(free.mine("workerClaim", json!({})).await["conversationId"], "another");
    assert_eq!(free.mine("workerClaim", json!({"conversationId": TALK})).await, Value::Null);
}

#[tokio::test]
async fn a_dead_letter_says_so() {
    let world = World::new().await;
    world.api.put("/v1/config/policies", json!({"retry": {"maxAttempts": 1}})).send().await.body_of(200);
    world.advance(MINUTE);
    let (image, job) = world.image_at_work("w").await;
    let failed = image.of(&job, "workerFail", json!({"errorMessage": "no"})).await;
    assert_eq!(failed, json!({"requeued": false, "deadLettered": true, "nextScheduledFor": null}));
    assert_eq!(world.message(&job["messageId"]).await["lastError"], "no");
}

#[tokio::test]
async fn the_first_calls_of_an_image_leave_it_the_time_to_boot() {
    let world = World::new().await;
    let image = world.image("w", None).await;
    image.mine("workerGlobalSkillsManifest", json!({})).await;
    let lease = Policies::default().lease;
    assert!(lease.stale_after < lease.boot_grace);
    world.advance(lease.stale_after);
    world.reconcile().await;
    assert_eq!(world.worker_row("w").await["status"], "active", "its gateway starts");
    assert!(!should_stop(&image).await);
    world.advance(lease.stale_after);
    world.reconcile().await;
    assert_ne!(world.worker_row("w").await["status"], "active", "it has asked before, and is silent");
}

#[tokio::test]
async fn a_message_ends_without_a_reply_that_cannot_be_read() {
    let world = World::new().await;
    let (image, job) = world.image_at_work("w").await;
    image.append(json!([{"role": "assistant", "content": "good day"}])).await;
    let table = &world.bundle.template.tables[0].name;
    let is_entry = |item: &Value| item["c"]["S"] == "good day";
    let mut entry = world.items().await.into_iter().find(is_entry).unwrap();
    entry["r"] = json!({"S": "robot"});
    let put = json!({"TableName": table, "Item": entry});
    assert_eq!(world.bundle.aws.engine().call("PutItem", put).await.status, 200);
    assert_eq!(image.of(&job, "workerComplete", json!({})).await, true);
    let message = world.message(&job["messageId"]).await;
    assert_eq!((&message["status"], &message["reply"]), (&json!("done"), &Value::Null));
}

#[tokio::test]
async fn a_reply_that_is_too_long_is_cut_between_two_characters() {
    let world = World::new().await;
    let (image, job) = world.image_at_work("w").await;
    let said = format!("x{}", "é".repeat(40 * 1024));
    image.append(json!([{"role": "assistant", "content": said}])).await;
    assert_eq!(image.of(&job, "workerComplete", json!({})).await, true);
    let reply = world.message(&job["messageId"]).await["reply"].as_str().unwrap().to_owned();
    assert!(said.starts_with(&reply) && reply.len() == 64 * 1024 - 1, "{}", reply.len());
}

#[tokio::test]
async fn an_error_that_names_the_callers_url_shows_nobody_its_token() {
    let world = World::new().await;
    let (image, job) = world.image_at_work("w").await;
    let error = format!("POST {}/api/mutation answered 502", image.base);
    image.of(&job, "workerFail", json!({"errorMessage": error})).await;
    let shown = world.message(&job["messageId"]).await["lastError"].as_str().unwrap().to_owned();
    assert_eq!(shown, format!("POST {}/w/afw_…/api/mutation answered 502", world.url));
    let prepared = image.prepare("manual").await;
    let args = json!({"snapshotId": prepared["snapshotId"], "error": error});
    assert_eq!(image.mine("workerFailSnapshotUpload", args).await, true);
    let items = world.items().await;
    assert!(!items.iter().any(|item| item.to_string().contains(&image.token)), "the table has it");
}

#[tokio::test]
async fn a_lease_that_has_ended_ends_no_other_message() {
    let world = World::new().await;
    let (image, job) = world.image_at_work("w").await;
    image.of(&job, "workerComplete", json!({})).await;
    let waiting = world.enqueue(TALK, "telegram", "another").await;
    world.enqueue("elsewhere", "telegram", "hello").await;
    let other = world.image("other", Some("elsewhere")).await;
    let foreign = other.mine("workerClaim", json!({})).await;
    other.of(&foreign, "workerComplete", json!({})).await;
    for (message, lease) in [(json!(waiting), &job), (foreign["messageId"].clone(), &job)] {
        let args = json!({"messageId": message, "leaseId": lease["leaseId"]});
        assert_eq!(image.mine("workerComplete", args).await, false, "{message}");
    }
    let args = json!({"messageId": job["messageId"], "leaseId": job["leaseId"]});
    assert_eq!(other.mine("workerComplete", args).await, false, "it was another's");
    assert_eq!(image.of(&job, "workerComplete", json!({})).await, true, "this one it was for");
}
