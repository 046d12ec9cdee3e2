//! The responses of single functions outside the usual lifecycle of an image.

use af_app::access::worker_token::TOKEN_GOOD_FOR;
use af_domain::policy::Policies;
use af_domain::time::Millis;
use serde_json::{Value, json};

use crate::{CONVERSATION, Image, World};

const MINUTE: Millis = Millis::from_secs(60);

async fn should_stop(image: &Image<'_>) -> bool {
    let answer = image.own("workerControlState", json!({})).await;
    let stop = answer["shouldStop"].as_bool().unwrap();
    assert_eq!(answer, json!({"shouldStop": stop}), "the response has no other field");
    stop
}

async fn bundle_of(image: &Image<'_>, job: &Value) -> Value {
    let args = json!({"messageId": job["messageId"], "workspaceId": "default"});
    image.value("workerHydrationBundle", args).await
}

#[tokio::test]
async fn every_namespace_each_of_the_three_routes_and_unknown_fields_are_accepted() {
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
    assert_eq!(status, 404, "the gateway has only these three routes");
}

#[tokio::test]
async fn the_control_state_stops_a_worker_that_is_not_active() {
    let world = World::new().await;
    let (image, job) = world.image_at_work("w").await;
    assert!(!should_stop(&image).await);
    image.of(&job, "workerComplete", json!({})).await;
    let policies = Policies::default();
    let silence = policies.lease.stale_after;
    world.advance(silence);
    assert!(should_stop(&image).await, "the worker was silent for too long before this call");
    assert!(!should_stop(&image).await, "the call before was a sign of life");
    world.advance(policies.scaling.idle_timeout);
    world.reconcile().await;
    assert_eq!(world.worker_row("w").await["status"], "draining");
    assert!(should_stop(&image).await);
    world.advance(policies.scaling.drain_timeout);
    world.reconcile().await;
    assert_eq!(world.worker_row("w").await["status"], "stopped");
    assert!(should_stop(&image).await, "the worker has stopped");
}

#[tokio::test]
async fn the_control_state_stops_a_worker_after_the_idle_timeout_before_it_is_drained() {
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
    world.enqueue(CONVERSATION, "telegram", "wait").await;
    assert!(!should_stop(&image).await, "a message waits for the worker");
    assert_eq!(world.worker_row("w").await["status"], "active", "a read changes nothing");
}

#[tokio::test]
async fn the_control_state_stops_no_idle_worker_while_the_policies_ask_for_spare_workers() {
    let world = World::new().await;
    let kept = json!({"scaling": {"minIdleWorkers": 1}, "lease": {"staleAfterMs": 7_200_000}});
    world.api.put("/v1/config/policies", kept).send().await.body_of(200);
    world.advance(MINUTE);
    let image = world.image("w", None).await;
    assert!(!should_stop(&image).await);
    world.advance(Policies::default().scaling.idle_timeout);
    assert!(!should_stop(&image).await, "reconcile decides which worker drains");
}

#[tokio::test]
async fn an_expired_token_gets_the_stop_of_the_control_state_and_no_other_access() {
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
async fn a_bundle_is_null_without_the_lease() {
    let world = World::new().await;
    let (image, job) = world.image_at_work("w").await;
    assert_eq!(bundle_of(&image, &job).await["messageId"], job["messageId"]);
    let other = world.image("other", None).await;
    assert_eq!(bundle_of(&other, &job).await, Value::Null, "a message of another worker");
    for unknown in ["m", "not/an/id"] {
        assert_eq!(bundle_of(&image, &json!({"messageId": unknown})).await, Value::Null, "{unknown}");
    }
    image.of(&job, "workerComplete", json!({})).await;
    assert_eq!(bundle_of(&image, &job).await, Value::Null, "a message that has ended");
}

#[tokio::test]
async fn a_conversation_without_telegram_has_an_invalid_bot_token() {
    let world = World::new().await;
    world.enqueue(CONVERSATION, "app", "hello").await;
    let image = world.image("w", Some(CONVERSATION)).await;
    let bundle = bundle_of(&image, &image.claim().await).await;
    assert_eq!(bundle["payload"]["provider"], "app");
    assert_eq!(bundle["telegramBotToken"], "0:this-conversation-has-no-bot");
}

#[tokio::test]
async fn a_telegram_conversation_whose_agent_has_no_bot_token_gets_null() {
    let world = World::new().await;
    world.api.put("/v1/agents/demo", json!({"version": "2", "secretsRef": []})).send().await.body_of(200);
    world.advance(MINUTE);
    let (image, job) = world.image_at_work("w").await;
    assert_eq!(bundle_of(&image, &job).await["telegramBotToken"], Value::Null);
}

/// The first of the profile's secret refs that has a value; secrets outside the profile do not count.
#[tokio::test]
async fn the_bot_token_is_the_first_secret_ref_of_the_profile_that_has_a_value() {
    let world = World::new().await;
    for (name, value) in [
        ("telegram.botToken", "global"),
        ("telegram.botToken.support", "implicit"),
        ("telegram.botTokens", "misspelt"),
    ] {
        let body = json!({"plaintextValue": value});
        world.api.put(&format!("/v1/secrets/{name}"), body).send().await.body_of(200);
    }
    let (image, job) = world.image_at_work("w").await;
    for (refs, expected) in [
        (json!([]), json!(null)),
        (json!(["model.apiKey", "telegram.botTokens"]), json!(null)),
        (json!(["telegram.botToken.missing"]), json!(null)),
        (
            json!(["telegram.botToken.missing", "telegram.botToken", "telegram.botToken.support"]),
            json!("global"),
        ),
        (json!(["telegram.botToken.support", "telegram.botToken"]), json!("implicit")),
    ] {
        let body = json!({"version": "1", "secretsRef": refs});
        world.api.put("/v1/agents/demo", body).send().await.body_of(200);
        // Longer than a function keeps the profile, and the lease goes on.
        world.advance(Millis::from_secs(11));
        assert_eq!(bundle_of(&image, &job).await["telegramBotToken"], expected, "{refs}");
    }
}

#[tokio::test]
async fn a_bundle_has_the_bridge_config_and_null_for_each_missing_value() {
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
async fn the_payload_has_all_fields_of_the_message() {
    let world = World::new().await;
    let body = json!({
        "conversationId": CONVERSATION, "agentKey": "demo",
        "payload": {
            "provider": "telegram", "providerUserId": "555", "messageText": "hello", "externalMessageId": "9",
            "rawUpdateJson": "{}", "metadata": {"colour": "red"},
        },
    });
    world.api.post("/v1/messages", body).send().await.body_of(202);
    let image = world.image("w", Some(CONVERSATION)).await;
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
    world.enqueue(CONVERSATION, "telegram", "second").await;
    let image = world.image("w", Some(CONVERSATION)).await;
    let another = json!({"conversationId": "another"});
    assert_eq!(image.own("workerClaim", another).await, Value::Null);
    assert_eq!(
        image.own("workerClaim", json!({})).await["conversationId"],
        CONVERSATION,
        "the image is assigned to this conversation"
    );
    let free = world.image("free", None).await;
    let taken = json!({"conversationId": CONVERSATION});
    assert_eq!(free.own("workerClaim", taken).await, Value::Null, "the conversation has an owner");
    assert_eq!(free.own("workerClaim", json!({})).await["conversationId"], "another");
    assert_eq!(free.own("workerClaim", json!({"conversationId": CONVERSATION})).await, Value::Null);
}

#[tokio::test]
async fn a_failure_reports_that_its_message_is_a_dead_letter() {
    let world = World::new().await;
    world.api.put("/v1/config/policies", json!({"retry": {"maxAttempts": 1}})).send().await.body_of(200);
    world.advance(MINUTE);
    let (image, job) = world.image_at_work("w").await;
    let failed = image.of(&job, "workerFail", json!({"errorMessage": "no"})).await;
    assert_eq!(failed, json!({"requeued": false, "deadLettered": true, "nextScheduledFor": null}));
    assert_eq!(world.message(&job["messageId"]).await["lastError"], "no");
}

#[tokio::test]
async fn the_first_calls_of_an_image_do_not_end_its_boot_grace() {
    let world = World::new().await;
    let image = world.image("w", None).await;
    image.own("workerGlobalSkillsManifest", json!({})).await;
    let lease = Policies::default().lease;
    assert!(lease.stale_after < lease.boot_grace);
    world.advance(lease.stale_after);
    world.reconcile().await;
    assert_eq!(world.worker_row("w").await["status"], "active", "the image is still booting");
    assert!(!should_stop(&image).await);
    world.advance(lease.stale_after);
    world.reconcile().await;
    assert_ne!(world.worker_row("w").await["status"], "active", "the image has polled before, and is silent");
}

#[tokio::test]
async fn a_message_with_an_unreadable_reply_is_completed_without_a_reply() {
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
    let long_reply = format!("x{}", "é".repeat(40 * 1024));
    image.append(json!([{"role": "assistant", "content": long_reply}])).await;
    assert_eq!(image.of(&job, "workerComplete", json!({})).await, true);
    let reply = world.message(&job["messageId"]).await["reply"].as_str().unwrap().to_owned();
    assert!(long_reply.starts_with(&reply) && reply.len() == 64 * 1024 - 1, "{}", reply.len());
}

#[tokio::test]
async fn an_error_with_the_callers_url_is_stored_without_its_token() {
    let world = World::new().await;
    let (image, job) = world.image_at_work("w").await;
    let error = format!("POST {}/api/mutation answered 502", image.base);
    image.of(&job, "workerFail", json!({"errorMessage": error})).await;
    let shown = world.message(&job["messageId"]).await["lastError"].as_str().unwrap().to_owned();
    assert_eq!(shown, format!("POST {}/w/afw_…/api/mutation answered 502", world.url));
    let prepared = image.prepare("manual").await;
    let args = json!({"snapshotId": prepared["snapshotId"], "error": error});
    assert_eq!(image.own("workerFailSnapshotUpload", args).await, true);
    let items = world.items().await;
    assert!(
        !items.iter().any(|item| item.to_string().contains(&image.token)),
        "the table contains the token"
    );
}

#[tokio::test]
async fn a_lease_that_has_ended_completes_no_other_message() {
    let world = World::new().await;
    let (image, job) = world.image_at_work("w").await;
    image.of(&job, "workerComplete", json!({})).await;
    let waiting = world.enqueue(CONVERSATION, "telegram", "another").await;
    world.enqueue("elsewhere", "telegram", "hello").await;
    let other = world.image("other", Some("elsewhere")).await;
    let foreign = other.own("workerClaim", json!({})).await;
    other.of(&foreign, "workerComplete", json!({})).await;
    for (message, lease) in [(json!(waiting), &job), (foreign["messageId"].clone(), &job)] {
        let args = json!({"messageId": message, "leaseId": lease["leaseId"]});
        assert_eq!(image.own("workerComplete", args).await, false, "{message}");
    }
    let args = json!({"messageId": job["messageId"], "leaseId": job["leaseId"]});
    assert_eq!(other.own("workerComplete", args).await, false, "the lease was another worker's");
    assert_eq!(image.of(&job, "workerComplete", json!({})).await, true, "the lease was for this message");
}
