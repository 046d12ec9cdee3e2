//! The system prompt is added to each text that a worker gets, and to no other text.

use af_app::worker::transcribe;
use af_domain::message::{HistoryEntry, Role};
use af_domain::time::Timestamp;
use serde_json::{Value, json};

use crate::api::World;

const PATH: &str = "/v1/config/message";
const PROMPT: &str = "Answer in rhymes.";

async fn set(world: &World, prompt: &str) {
    world.api.put(PATH, json!({"systemPrompt": prompt})).send().await.body_of(200);
    world.expire_caches();
}

#[tokio::test]
async fn a_message_config_is_set_shown_and_removed() {
    let world = World::new().await;
    let shown = async || world.api.get(PATH).send().await.body_of(200);
    assert_eq!(shown().await, json!({}));
    set(&world, PROMPT).await;
    world.api.put("/v1/config/policies", json!({"queue": {"defaultPriority": 60}})).send().await.body_of(200);
    assert_eq!(
        shown().await,
        json!({"systemPrompt": PROMPT}),
        "a change of policies does not affect the message config"
    );
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
async fn an_invalid_message_config_is_refused_with_its_field() {
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
    let in_the_policies = json!({"message": {"systemPrompt": PROMPT}});
    let answer = world.refused(world.api.put("/v1/config/policies", in_the_policies)).await;
    assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), "/message"));
}

#[tokio::test]
async fn a_worker_gets_the_prompt_and_histories_and_lists_do_not_have_it() {
    let world = World::new().await;
    set(&world, PROMPT).await;
    world.bind("ann", "support").await;
    let id = world.say("ann", "hello").await;
    let token = world.worker("w").await;
    let polled = world.poll(&token, json!({})).await;
    let text_with_prompt = format!("hello\n\n{PROMPT}");
    assert_eq!(polled["job"]["payload"]["messageText"], text_with_prompt);
    assert_eq!(polled["bundle"]["payload"]["messageText"], text_with_prompt);
    let path = format!("/v1/worker/messages/{id}/bundle");
    let bundle = world.api.get(&path).key(&token).send().await.body_of(200);
    assert_eq!(bundle["payload"]["messageText"], text_with_prompt);

    let entry = |role: &str, content: &str| json!({"role": role, "content": content});
    let lease = |mut body: Value| {
        body["leaseId"] = polled["job"]["leaseId"].clone();
        body["fence"] = polled["job"]["fence"].clone();
        body
    };
    let appended = lease(
        json!({"ordinal": 0, "messages": [entry("user", &text_with_prompt), entry("tool", &text_with_prompt)]}),
    );
    let path = "/v1/worker/conversations/user-agent%3Asupport%3Aann/history";
    world.api.post(path, appended).key(&token).send().await.body_of(200);
    let completed =
        lease(json!({"history": [entry("user", &text_with_prompt), entry("assistant", &text_with_prompt)]}));
    let path = format!("/v1/worker/messages/{id}/complete");
    world.api.post(&path, completed).key(&token).send().await.body_of(200);

    let view = world.api.get("/v1/users/ann/agents/support/conversation").send().await.body_of(200);
    let contents: Vec<_> = view["contextHistory"].as_array().unwrap().iter().map(|e| &e["content"]).collect();
    assert_eq!(
        contents,
        ["hello", &text_with_prompt, "hello", &text_with_prompt],
        "the prompt is removed from the user's entries only"
    );
    assert_eq!(view["queueItems"][0]["payload"]["messageText"], "hello");
}

#[tokio::test]
async fn spaces_around_a_prompt_are_removed() {
    let world = World::new().await;
    set(&world, &format!("\n {PROMPT} \n\n")).await;
    assert_eq!(world.api.get(PATH).send().await.body_of(200), json!({"systemPrompt": PROMPT}));
}

#[tokio::test]
async fn an_appended_entry_may_be_as_long_as_the_text_that_the_worker_got() {
    let world = World::new().await;
    let prompt = "rhyme ".repeat(200);
    set(&world, &prompt).await;
    let longest = "x".repeat(256 * 1024 - 500);
    let id = world.enqueue("c", &longest).await;
    let token = world.worker("w").await;
    let polled = world.poll(&token, json!({})).await;
    let text_with_prompt = polled["job"]["payload"]["messageText"].as_str().unwrap();
    assert!(text_with_prompt.len() > 256 * 1024, "the text is longer than the limit of an entry");
    let lease = |mut body: Value| {
        body["leaseId"] = polled["job"]["leaseId"].clone();
        body["fence"] = polled["job"]["fence"].clone();
        body
    };
    let messages = json!([{"role": "user", "content": text_with_prompt}]);
    let appended = lease(json!({"ordinal": 0, "messages": messages}));
    world.api.post("/v1/worker/conversations/c/history", appended).key(&token).send().await.body_of(200);
    let path = format!("/v1/worker/messages/{id}/complete");
    let completed = lease(json!({"history": messages}));
    world.api.post(&path, completed).key(&token).send().await.body_of(200);
    let worker = af_domain::ids::WorkerId::parse("w").unwrap();
    world.enqueue("c", &longest).await;
    world.poll(&token, json!({})).await;
    let text_with_prompt =
        HistoryEntry { role: Role::User, content: text_with_prompt.to_owned(), at: Timestamp::default() };
    let conversation = af_domain::ids::ConversationId::parse("c").unwrap();
    let app = world.bundle.app("worker");
    let appended = transcribe(&app, &worker, &conversation, &[text_with_prompt]).await.unwrap();
    assert!(appended.updated, "a published image may also append it");
}
