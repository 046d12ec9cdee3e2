//! The system prompt: below every text that a worker is handed, and nowhere else.

use af_app::worker::transcribe;
use af_domain::message::{HistoryEntry, Role};
use af_domain::time::Timestamp;
use serde_json::{Value, json};

use crate::api::World;

const PATH: &str = "/v1/config/message";
const PROMPT: &str = "Answer in rhymes.";

async fn set(world: &World, prompt: &str) {
    world.api.put(PATH, json!({"systemPrompt": prompt})).send().await.body_of(200);
    world.forget();
}

#[tokio::test]
async fn a_config_is_set_shown_and_taken_back() {
    let world = World::new().await;
    let shown = async || world.api.get(PATH).send().await.body_of(200);
    assert_eq!(shown().await, json!({}));
    set(&world, PROMPT).await;
    world.api.put("/v1/config/policies", json!({"queue": {"defaultPriority": 60}})).send().await.body_of(200);
    assert_eq!(shown().await, json!({"systemPrompt": PROMPT}), "policies change nothing of it");
    let policies = world.api.get("/v1/config/policies").send().await.body_of(200);
    assert_eq!(
        (&policies["queue"]["defaultPriority"]["value"], &policies["message"]),
        (&json!(60), &Value::Null)
    );
    world.api.put(PATH, json!({})).send().await.body_of(200);
    assert_eq!(shown().await, json!({}));
    let policies = world.api.get("/v1/config/policies").send().await.body_of(200);
    assert_eq!(policies["queue"]["defaultPriority"]["value"], 60);
}

#[tokio::test]
async fn a_config_that_is_refused_names_the_field_and_writes_nothing() {
    let world = World::new().await;
    for (body, pointer) in [
        (json!({"systemPrompt": " \n"}), "/systemPrompt"),
        (json!({"systemPrompt": "x".repeat(8_001)}), "/systemPrompt"),
        (json!({"systemPrompt": 7}), "/systemPrompt"),
        (json!({"colour": "red"}), "/colour"),
    ] {
        let answer = world.refused(world.api.put(PATH, body)).await;
        assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), pointer));
    }
    let by_the_other_door = json!({"message": {"systemPrompt": PROMPT}});
    let answer = world.refused(world.api.put("/v1/config/policies", by_the_other_door)).await;
    assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), "/message"));
}

#[tokio::test]
async fn a_worker_is_handed_the_prompt_and_neither_history_nor_lists_have_it() {
    let world = World::new().await;
    set(&world, PROMPT).await;
    world.bind("ann", "support").await;
    let id = world.say("ann", "hello").await;
    let token = world.worker("w").await;
    let polled = world.poll(&token, json!({})).await;
    let handed = format!("hello\n\n{PROMPT}");
    assert_eq!(polled["job"]["payload"]["messageText"], handed);
    assert_eq!(polled["bundle"]["payload"]["messageText"], handed);
    let path = format!("/v1/worker/messages/{id}/bundle");
    let bundle = world.api.get(&path).key(&token).send().await.body_of(200);
    assert_eq!(bundle["payload"]["messageText"], handed);

    let said = |role: &str, content: &str| json!({"role": role, "content": content});
    let lease = |mut body: Value| {
        body["leaseId"] = polled["job"]["leaseId"].clone();
        body["fence"] = polled["job"]["fence"].clone();
        body
    };
    let appended = lease(json!({"ordinal": 0, "messages": [said("user", &handed), said("tool", &handed)]}));
    let path = "/v1/worker/conversations/user-agent%3Asupport%3Aann/history";
    world.api.post(path, appended).key(&token).send().await.body_of(200);
    let completed = lease(json!({"history": [said("user", &handed), said("assistant", &handed)]}));
    let path = format!("/v1/worker/messages/{id}/complete");
    world.api.post(&path, completed).key(&token).send().await.body_of(200);

    let view = world.api.get("/v1/users/ann/agents/support/conversation").send().await.body_of(200);
    let contents: Vec<_> = view["contextHistory"].as_array().unwrap().iter().map(|e| &e["content"]).collect();
    assert_eq!(contents, ["hello", &handed, "hello", &handed], "only what the person said is bare");
    assert_eq!(view["queueItems"][0]["payload"]["messageText"], "hello");
}

#[tokio::test]
async fn blanks_around_a_prompt_go() {
    let world = World::new().await;
    set(&world, &format!("\n {PROMPT} \n\n")).await;
    assert_eq!(world.api.get(PATH).send().await.body_of(200), json!({"systemPrompt": PROMPT}));
}

#[tokio::test]
async fn what_a_worker_repeats_may_be_as_long_as_what_it_was_handed() {
    let world = World::new().await;
    let prompt = "rhyme ".repeat(200);
    set(&world, &prompt).await;
    let longest = "x".repeat(256 * 1024 - 500);
    let id = world.enqueue("c", &longest).await;
    let token = world.worker("w").await;
    let polled = world.poll(&token, json!({})).await;
    let handed = polled["job"]["payload"]["messageText"].as_str().unwrap();
    assert!(handed.len() > 256 * 1024, "an entry may have as much");
    let lease = |mut body: Value| {
        body["leaseId"] = polled["job"]["leaseId"].clone();
        body["fence"] = polled["job"]["fence"].clone();
        body
    };
    let said = json!([{"role": "user", "content": handed}]);
    let appended = lease(json!({"ordinal": 0, "messages": said}));
    world.api.post("/v1/worker/conversations/c/history", appended).key(&token).send().await.body_of(200);
    let path = format!("/v1/worker/messages/{id}/complete");
    let completed = lease(json!({"history": said}));
    world.api.post(&path, completed).key(&token).send().await.body_of(200);
    let worker = af_domain::ids::WorkerId::parse("w").unwrap();
    world.enqueue("c", &longest).await;
    world.poll(&token, json!({})).await;
    let handed = HistoryEntry { role: Role::User, content: handed.to_owned(), at: Timestamp::default() };
    let conversation = af_domain::ids::ConversationId::parse("c").unwrap();
    let app = world.bundle.app("worker");
    let said = transcribe(&app, &worker, &conversation, &[handed]).await.unwrap();
    assert!(said.updated, "a published image may, too");
}
