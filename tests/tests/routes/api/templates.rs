//! Message templates, and messages that are sent with them.

use af_domain::time::Millis;
use serde_json::{Value, json};

use crate::api::lists::all;
use crate::api::{World, each};

const TEMPLATES: &str = "/v1/message-templates";
const MESSAGES: &str = "/v1/users/ann/agents/support/messages";

async fn make(world: &World, title: &str) -> Value {
    let body = json!({"title": title, "content": format!("the text of {title}")});
    world.api.post(TEMPLATES, body).send().await.body_of(201)
}

#[tokio::test]
async fn a_template_is_made_shown_changed_and_deleted() {
    let world = World::new().await;
    let body = json!({"title": " Good morning! ", "content": "Hello", "tags": ["Zeta ", "alpha", "ALPHA"]});
    let made = world.api.post(TEMPLATES, body).send().await.body_of(201);
    let at = af_tests::bundle::START.as_millis();
    let expected = json!({
        "templateKey": "good-morning", "title": "Good morning!", "content": "Hello", "tags": ["alpha", "zeta"],
        "usageCount": 0, "createdAt": at, "updatedAt": at,
    });
    assert_eq!(made, expected);
    let path = format!("{TEMPLATES}/good-morning");
    assert_eq!(world.api.get(&path).send().await.body_of(200), expected);
    world.advance(Millis::new(5));
    let change = json!({"title": "Good evening", "content": "Bye"});
    let changed = world.api.put(&path, change).send().await.body_of(200);
    let expected = json!({
        "templateKey": "good-morning", "title": "Good evening", "content": "Bye", "tags": [], "usageCount": 0,
        "createdAt": at, "updatedAt": at + 5,
    });
    assert_eq!(changed, expected);
    world.api.delete(&path).send().await.body_of(204);
    for answer in [
        world.api.get(&path).send().await,
        world.api.delete(&path).send().await,
        world.api.put(&path, json!({"title": "t", "content": "c"})).send().await,
    ] {
        assert_eq!(answer.problem(), (404, "not_found"));
    }
    assert_eq!(world.api.get(TEMPLATES).send().await.body_of(200), json!({"items": []}));
    make(&world, "Good morning").await;
}

#[tokio::test]
async fn an_invalid_template_and_a_key_in_use_are_refused_with_their_field() {
    let world = World::new().await;
    make(&world, "Good morning").await;
    for (body, problem, pointer) in [
        (json!({"title": "good  MORNING", "content": "c"}), (409, "already_exists"), "/title"),
        (json!({"title": " ", "content": "c"}), (422, "invalid_field"), "/title"),
        (json!({"title": "?!", "content": "c"}), (422, "invalid_field"), "/title"),
        (json!({"title": "t".repeat(101), "content": "c"}), (422, "invalid_field"), "/title"),
        (json!({"title": "t", "content": " "}), (422, "invalid_field"), "/content"),
        (json!({"title": "t", "content": "c".repeat(4_097)}), (422, "invalid_field"), "/content"),
        (json!({"title": "t", "content": "c", "tags": ["a", " "]}), (422, "invalid_field"), "/tags/1"),
        (json!({"title": "t", "content": "c", "key": "k"}), (422, "invalid_field"), "/key"),
    ] {
        let answer = world.refused(world.api.post(TEMPLATES, body)).await;
        assert_eq!((answer.problem(), answer.pointer()), (problem, pointer), "{}", answer.body);
    }
}

#[tokio::test]
async fn a_repeated_call_makes_one_template() {
    let world = World::new().await;
    let call = |title: &str| {
        let body = json!({"title": title, "content": "c"});
        world.api.post(TEMPLATES, body).header("idempotency-key", "k").send()
    };
    let (first, second) = tokio::join!(call("one"), call("one"));
    assert_eq!(first.body_of(201), second.body_of(201));
    assert_eq!(call("two").await.problem(), (422, "idempotency_mismatch"));
    let listed = world.api.get(TEMPLATES).send().await.body_of(200);
    assert_eq!(each(&listed, "templateKey"), ["one"]);
}

#[tokio::test]
async fn a_message_has_the_text_of_its_template_and_counts_its_use_once() {
    let world = World::new().await;
    world.bind("ann", "support").await;
    make(&world, "Good morning").await;
    let send =
        || world.api.post(MESSAGES, json!({"templateId": "good-morning"})).header("idempotency-key", "k");
    let sent = send().send().await.body_of(202);
    let id = sent["messageId"].as_str().unwrap();
    let shown = world.api.get(&format!("/v1/users/ann/messages/{id}")).send().await.body_of(200);
    assert_eq!(shown["payload"]["messageText"], "the text of Good morning");
    assert_eq!(shown["payload"]["metadata"]["templateId"], "good-morning");
    let change = json!({"title": "Good morning", "content": "another text"});
    world.api.put(&format!("{TEMPLATES}/good-morning"), change).send().await.body_of(200);
    assert_eq!(send().send().await.body_of(202), sent, "a repetition is the same message");
    let count = async || {
        world.api.get(&format!("{TEMPLATES}/good-morning")).send().await.body_of(200)["usageCount"].clone()
    };
    assert_eq!(count().await, 1);
    let other = world.api.post(MESSAGES, json!({"content": "hello"})).header("idempotency-key", "k");
    assert_eq!(world.refused(other).await.problem(), (422, "idempotency_mismatch"));
    for (body, problem, pointer) in [
        (json!({}), (422, "invalid_field"), "/content"),
        (json!({"content": "hello", "templateId": "good-morning"}), (422, "invalid_field"), "/templateId"),
        (json!({"templateId": "Good Morning"}), (422, "invalid_field"), "/templateId"),
    ] {
        let answer = world.refused(world.api.post(MESSAGES, body)).await;
        assert_eq!((answer.problem(), answer.pointer()), (problem, pointer));
    }
    let unknown = world.refused(world.api.post(MESSAGES, json!({"templateId": "unknown"}))).await;
    assert_eq!(unknown.problem(), (404, "not_found"));
    assert_eq!(count().await, 1);
}

#[tokio::test]
async fn the_most_used_templates_are_listed_first() {
    let world = World::new().await;
    world.bind("ann", "support").await;
    for title in ["a", "b", "c", "d"] {
        make(&world, title).await;
    }
    for key in ["c", "d", "c"] {
        world.api.post(MESSAGES, json!({"templateId": key})).send().await.body_of(202);
    }
    let (found, pages) = all(&world, TEMPLATES, "templateKey").await;
    assert_eq!((found, pages), (["c", "d", "a", "b"].map(str::to_owned).to_vec(), 2));
    let forged = world.api.get(&format!("{TEMPLATES}?cursor=AAAA")).send().await;
    assert_eq!((forged.problem(), forged.pointer()), ((422, "invalid_field"), "/cursor"));
}
