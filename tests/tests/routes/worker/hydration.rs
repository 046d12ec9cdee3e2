//! The hydration bundle of a claimed message.

use af_domain::time::Millis;
use serde_json::json;

use crate::worker::{CONVERSATION, World};

fn path(job: &serde_json::Value) -> String {
    format!("messages/{}/bundle", job["messageId"].as_str().unwrap())
}

#[tokio::test]
async fn a_requested_bundle_equals_the_bundle_of_the_poll() {
    let world = World::new().await;
    let (worker, first) = world.busy_worker("w", CONVERSATION).await;
    let completion = json!({"history": [{"role": "assistant", "content": "hi", "at": 5}]});
    worker.complete(&first, completion).await.body_of(200);
    world.enqueue(CONVERSATION).await;
    let polled = worker.poll(json!({"conversationId": CONVERSATION})).await;
    let bundle = worker.get(&path(&polled["job"])).await.body_of(200);
    assert_eq!(bundle, polled["bundle"]);
    assert_eq!(bundle["conversationState"]["contextHistory"][0]["content"], "hi");

    let since = format!("{}?since={}", path(&polled["job"]), bundle["cursor"].as_str().unwrap());
    let delta = worker.get(&since).await.body_of(200);
    assert_eq!((&delta["delta"], &delta["conversationState"]["contextHistory"]), (&json!(true), &json!([])));
    let wrong = worker.get(&format!("{}?since=nonsense", path(&polled["job"]))).await;
    assert_eq!((wrong.problem(), wrong.pointer()), ((422, "invalid_field"), "/since"));
}

#[tokio::test]
async fn a_bundle_is_only_for_the_worker_with_the_lease() {
    let world = World::new().await;
    let (worker, job) = world.busy_worker("w", CONVERSATION).await;
    let (other, theirs) = world.busy_worker("other", "another").await;
    worker.get(&path(&job)).await.body_of(200);
    for message in [path(&theirs), "messages/unknown/bundle".to_owned()] {
        assert_eq!(worker.get(&message).await.problem(), (404, "not_found"), "{message}");
    }
    other.get(&path(&theirs)).await.body_of(200);
    worker.complete(&job, json!({})).await.body_of(200);
    assert_eq!(worker.get(&path(&job)).await.problem(), (404, "not_found"), "the message has ended");
}

#[tokio::test]
async fn a_bundle_has_no_bot_token_because_the_deployment_sends_the_reply() {
    let world = World::new().await;
    let token = json!({"plaintextValue": "1:secret"});
    world.api.put("/v1/secrets/telegram.botToken.demo", token).send().await.body_of(200);
    let profile = json!({"version": "1", "secretsRef": ["telegram.botToken.demo"]});
    world.api.put("/v1/agents/demo", profile).send().await.body_of(200);
    world.enqueue(CONVERSATION).await;
    let polled = world.worker("w").await.poll(json!({})).await;
    assert_eq!(polled["bundle"]["messageId"], polled["job"]["messageId"]);
    assert!(!polled.to_string().contains("1:secret"), "{polled}");
}

#[tokio::test]
async fn the_retry_of_a_message_gets_the_current_secrets() {
    let world = World::new().await;
    let token = async |value: &str| {
        let body = json!({"plaintextValue": value});
        world.api.put("/v1/secrets/crm.key", body).send().await.body_of(200);
    };
    token("1:before").await;
    let bridge = json!({
        "enabled": true, "baseUrl": "https://crm.example/bridge", "serviceId": "crm", "appKey": "app",
        "serviceKeySecretRef": "crm.key",
    });
    let profile = json!({"version": "1", "bridgeConfig": bridge});
    world.api.put("/v1/agents/demo", profile).send().await.body_of(200);
    world.enqueue(CONVERSATION).await;
    let worker = world.worker("w").await;
    let first = worker.poll(json!({})).await;
    assert_eq!(first["bundle"]["bridgeRuntimeConfig"]["serviceKey"], "1:before");
    token("1:after").await;
    let job = &first["job"];
    assert_eq!(
        worker.get(&path(job)).await.body_of(200)["bridgeRuntimeConfig"]["serviceKey"],
        "1:before",
        "the secret is cached"
    );
    let body = json!({"leaseId": job["leaseId"], "fence": job["fence"], "errorMessage": "refused"});
    worker.post(&format!("messages/{}/fail", job["messageId"].as_str().unwrap()), body).await.body_of(200);
    world.advance(Millis::from_secs(5));
    let again = worker.poll(json!({"conversationId": CONVERSATION})).await;
    assert_eq!(
        (&again["job"]["attempt"], &again["bundle"]["bridgeRuntimeConfig"]["serviceKey"]),
        (&json!(2), &json!("1:after"))
    );
}
