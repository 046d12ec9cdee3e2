use serde_json::json;

use crate::api::World;

const PATH: &str = "/v1/config/policies";

#[tokio::test]
async fn policies_are_shown_with_value_default_and_range() {
    let world = World::new().await;
    let shown = world.api.get(PATH).send().await.body_of(200);
    let priority = json!({"value": 50, "default": 50, "accepts": "a whole number from 0 to 100"});
    assert_eq!(shown["queue"]["defaultPriority"], priority);
    assert_eq!(shown["queue"]["onRetry"]["accepts"], "one of block, overtake");
}

#[tokio::test]
async fn a_policy_override_is_set_and_removed() {
    let world = World::new().await;
    let set = json!({"queue": {"defaultPriority": 60}, "retry": {"backoffFactor": 1.5}});
    let shown = world.api.put(PATH, set).send().await.body_of(200);
    assert_eq!(
        (&shown["queue"]["defaultPriority"]["value"], &shown["retry"]["backoffFactor"]["value"]),
        (&json!(60), &json!(1.5))
    );
    let id = world.enqueue("c", "hello").await;
    let message = world.api.get(&format!("/v1/messages/{id}")).send().await.body_of(200);
    assert_eq!(message["priority"], 60, "the override takes effect at once in the function that set it");
    let back = world.api.put(PATH, json!({"queue": {"defaultPriority": null}})).send().await.body_of(200);
    assert_eq!(back["queue"]["defaultPriority"]["value"], 50);
    assert_eq!(back["retry"]["backoffFactor"]["value"], 1.5, "other overrides stay");
    assert_eq!(world.api.get(PATH).send().await.body_of(200), back);
}

#[tokio::test]
async fn an_invalid_policy_is_refused_with_its_field_and_range() {
    let world = World::new().await;
    let long = "x".repeat(10_000);
    for (body, pointer, words) in [
        (json!({"queue": {"defaultPriority": 101}}), "/queue/defaultPriority", "from 0 to 100"),
        (json!({"queue": {"onRetry": "never"}}), "/queue/onRetry", "one of block, overtake"),
        (json!({"scaling": {"spawnStep": 5, "maxWorkers": -1}}), "/scaling/maxWorkers", "from 0 to 1000"),
        (json!({"scaling": {"maxWorkers": 1.5}}), "/scaling/maxWorkers", "a whole number"),
        (json!({"lease": {"heartbeatIntervalMs": 60_000}}), "/lease/heartbeatIntervalMs", "a third of"),
        (json!({"queue": {"colour": 1}}), "/queue/colour", "there is no policy"),
        (json!({"queue": {"colour": null}}), "/queue/colour", "there is no policy"),
        (json!({"colours": {}}), "/colours", "there is no policy"),
        (json!({"queue": 7}), "/queue", "must be an object"),
        (json!({ long.as_str(): {} }), &format!("/{}", &long[..64]), "there is no policy"),
    ] {
        let answer = world.refused(world.api.put(PATH, body)).await;
        assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), pointer));
        assert!(answer.detail().contains(words), "{}", answer.detail());
    }
    let shown = world.api.get(PATH).send().await.body_of(200);
    assert_eq!(shown["scaling"]["spawnStep"]["value"], 3, "a refused change has no effect");
}

#[tokio::test]
async fn concurrent_changes_of_policies_are_all_kept() {
    let world = World::new().await;
    let set = |body| world.api.put(PATH, body).send();
    let (one, other) = tokio::join!(
        set(json!({"queue": {"defaultPriority": 7}})),
        set(json!({"scaling": {"maxWorkers": 7}}))
    );
    one.body_of(200);
    other.body_of(200);
    let shown = world.api.get(PATH).send().await.body_of(200);
    assert_eq!(shown["queue"]["defaultPriority"]["value"], 7);
    assert_eq!(shown["scaling"]["maxWorkers"]["value"], 7);
}
