use serde_json::{Value, json};

use crate::api::World;

const PATH: &str = "/v1/config/ingress";

fn defaults() -> Value {
    json!({
        "groupTrigger": "mention", "conversationPer": "topic", "requireBinding": false,
        "fallbackAgentKey": "default", "resolveAgentKeyFromBinding": true, "showActivity": true, "maxPerMinute": 20,
        "maxBurst": 10,
    })
}

#[tokio::test]
async fn an_ingress_config_is_set_shown_and_removed() {
    let world = World::new().await;
    let shown = async || {
        let mut shown = world.api.get(PATH).send().await.body_of(200);
        let texts = shown.as_object_mut().unwrap().remove("texts").unwrap();
        assert_eq!(texts.as_object().unwrap().len(), 11);
        assert!(texts.as_object().unwrap().values().all(|text| text.as_str().unwrap().len() > 5), "{texts}");
        shown
    };
    assert_eq!(shown().await, defaults());
    let of_support = json!({"requireBinding": false, "maxBurst": 200});
    let mut expected = defaults();
    (expected["requireBinding"], expected["agents"]) = (json!(true), json!({"support": of_support}));
    let set = json!({"requireBinding": true, "agents": {"support": of_support}});
    world.api.put(PATH, set).send().await.body_of(200);
    assert_eq!(shown().await, expected);
    world.api.put("/v1/config/message", json!({"systemPrompt": "Rhyme."})).send().await.body_of(200);
    world.api.put("/v1/config/policies", json!({"queue": {"defaultPriority": 60}})).send().await.body_of(200);
    assert_eq!(shown().await, expected, "changes of other settings do not affect the ingress config");
    world.api.put(PATH, expected.clone()).send().await.body_of(200);
    assert_eq!(shown().await, expected, "the answer can be sent as it is");
    let policies = world.api.get("/v1/config/policies").send().await.body_of(200);
    assert_eq!(policies["ingress"], Value::Null);
    world.api.put(PATH, json!({})).send().await.body_of(200);
    assert_eq!(shown().await, defaults());
}

#[tokio::test]
async fn an_invalid_ingress_config_is_refused_with_its_field() {
    let world = World::new().await;
    let many: serde_json::Map<_, _> = (0..501).map(|n| (format!("a{n}"), json!({}))).collect();
    let long = json!({"texts": {"greeting": "x".repeat(500), "paired": "x".repeat(500)}});
    let large: serde_json::Map<_, _> = (0..300).map(|n| (format!("a{n}"), long.clone())).collect();
    for (body, pointer) in [
        (json!({"groupTrigger": "loud"}), "/groupTrigger"),
        (json!({"conversationPer": "Topic"}), "/conversationPer"),
        (json!({"requireBinding": "yes"}), "/requireBinding"),
        (json!({"fallbackAgentKey": "a b"}), "/fallbackAgentKey"),
        (json!({"maxPerMinute": 0}), "/maxPerMinute"),
        (json!({"maxBurst": 201}), "/maxBurst"),
        (json!({"maxBurst": -1}), "/maxBurst"),
        (json!({"colour": "red"}), "/colour"),
        (json!({"texts": {"unbound": "x".repeat(501)}}), "/texts/unbound"),
        (json!({"texts": {"mood": ""}}), "/texts/mood"),
        (json!({"texts": "none"}), "/texts"),
        (
            json!({"agents": {"support": {"texts": {"greeting": "x".repeat(501)}}}}),
            "/agents/support/texts/greeting",
        ),
        (json!({"agents": {"support": {"managerAgentKey": "m"}}}), "/agents/support/managerAgentKey"),
        (json!({"managerAgentKey": "a b"}), "/managerAgentKey"),
        (json!({"agents": large}), "/agents"),
        (json!({"agents": {"support": {"maxPerMinute": 6_001}}}), "/agents/support/maxPerMinute"),
        (json!({"agents": {"support": {"agents": {}}}}), "/agents/support/agents"),
        (json!({"agents": many}), "/agents"),
    ] {
        let answer = world.refused(world.api.put(PATH, body)).await;
        assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), pointer));
    }
    let bad_key = world.refused(world.api.put(PATH, json!({"agents": {"a b": {}}}))).await;
    assert_eq!(bad_key.problem(), (422, "invalid_field"));
    let in_the_policies = json!({"ingress": {"maxBurst": 5}});
    let answer = world.refused(world.api.put("/v1/config/policies", in_the_policies)).await;
    assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), "/ingress"));
}
