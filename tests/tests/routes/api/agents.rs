use af_tests::bundle::START;
use serde_json::json;

use crate::api::World;

#[tokio::test]
async fn an_agent_is_configured_shown_and_removed() {
    let world = World::new().await;
    let path = "/v1/agents/helper.v2";
    assert_eq!(world.api.get(path).send().await.problem(), (404, "not_found"));
    let settings =
        json!({"displayName": "Helper", "version": "2.1", "enabled": false, "secretsRef": ["model.apiKey"]});
    let made = world.api.put(path, settings).send().await.body_of(200);
    let expected = json!({
        "agentKey": "helper.v2", "displayName": "Helper", "version": "2.1", "enabled": false,
        "secretsRef": ["model.apiKey"], "bot": null, "bridgeConfig": null, "updatedAt": START.as_millis(),
    });
    assert_eq!(made, expected);
    assert_eq!(world.api.get(path).send().await.body_of(200), expected);
    let changed = world.api.put(path, json!({"version": "3"})).send().await.body_of(200);
    assert_eq!((&changed["enabled"], &changed["displayName"]), (&json!(true), &json!(null)));
    world.api.delete(path).send().await.body_of(204);
    assert_eq!(world.api.delete(path).send().await.problem(), (404, "not_found"));
}

#[tokio::test]
async fn an_invalid_agent_is_refused_with_its_field() {
    let world = World::new().await;
    let names: Vec<_> = (0..51).map(|n| format!("s{n}")).collect();
    for (body, pointer) in [
        (json!({}), "/version"),
        (json!({"version": " "}), "/version"),
        (json!({"version": "1".repeat(201)}), "/version"),
        (json!({"version": "1", "displayName": "x".repeat(201)}), "/displayName"),
        (json!({"version": "1", "secretsRef": names}), "/secretsRef"),
        (json!({"version": "1", "enabled": "yes"}), "/enabled"),
    ] {
        let answer = world.refused(world.api.put("/v1/agents/a", body)).await;
        assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), pointer));
    }
}

#[tokio::test]
async fn a_disabled_agent_refuses_messages() {
    let world = World::new().await;
    world.enqueue("c", "one").await;
    world.api.put("/v1/agents/support", json!({"version": "1", "enabled": false})).send().await.body_of(200);
    let answer = world.api.post("/v1/messages", crate::api::message("c", "two")).send().await;
    assert_eq!(answer.problem(), (409, "agent_disabled"));
    assert!(answer.detail().contains("PUT /v1/agents/support"), "{}", answer.detail());
}
