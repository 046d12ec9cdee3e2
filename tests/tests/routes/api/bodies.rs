//! Bodies with a broken character, a list where an object is due, a key that is there twice, or a blank text.

use std::fs;

use af_tests::telegram::{CHAT, Person};
use af_tests::workspace::root;
use http::Method;
use serde_json::{Value, json};

use crate::api::{World, message};

/// The operations of operators and apps with a JSON body, each with the example of the OpenAPI document.
fn operations_with_a_body() -> Vec<(Method, String, Value)> {
    let text = fs::read_to_string(root().join("docs/openapi.json")).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let body = operation.pointer("/requestBody/content/application~1json/example");
            if let (Some(body), false) = (body, operation["security"][0]["apiKey"].is_null()) {
                let path = path.replace("{version}", "1.0.0").replace(['{', '}'], "");
                operations.push((method.to_uppercase().parse().unwrap(), path, body.clone()));
            }
        }
    }
    operations
}

/// Every value that is `body` with one object replaced by the list of its values.
fn with_one_list(body: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    match body {
        Value::Object(fields) => {
            found.push(fields.values().cloned().collect());
            for (name, field) in fields {
                let inner = with_one_list(field).into_iter();
                found.extend(inner.map(|list| {
                    let mut body = body.clone();
                    body[name.as_str()] = list;
                    body
                }));
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                found.extend(with_one_list(item).into_iter().map(|list| {
                    let mut body = body.clone();
                    body[i] = list;
                    body
                }));
            }
        }
        _ => {}
    }
    found
}

#[tokio::test]
async fn a_list_where_an_object_is_due_is_refused_on_every_operation_and_writes_nothing() {
    let world = World::new().await;
    let (mut operations, mut lists) = (0, 0);
    for (method, path, example) in operations_with_a_body() {
        operations += 1;
        for body in with_one_list(&example) {
            lists += 1;
            let answer = world.refused(world.api.call(method.clone(), &path).json(&body)).await;
            assert_eq!(answer.problem(), (422, "invalid_field"), "{method} {path} {body}");
        }
    }
    assert!(operations >= 16 && lists >= 24, "{operations} operations, {lists} lists");
    world.refused(world.api.put("/v1/secrets/a.b", json!(["v"]))).await;
    let secrets = world.api.get("/v1/secrets?refs=a.b").send().await.body_of(200);
    assert_eq!(secrets["items"][0]["hasActive"], false);
}

#[tokio::test]
async fn a_duplicate_key_in_a_map_is_refused_with_its_field() {
    let world = World::new().await;
    world.bind("ann", "support").await;
    for (method, path, body, pointer) in [
        (Method::PUT, "/v1/config/provider", r#"{"kind": "fly", "kind": "fly"}"#, "/kind"),
        (Method::PUT, "/v1/config/provider", r#"{"kind": "fly", "env": {"A": "1", "A": "2"}}"#, "/env/A"),
        (Method::PUT, "/v1/config/policies", r#"{"retry": {}, "retry": {}}"#, "/retry"),
        (
            Method::PUT,
            "/v1/config/policies",
            r#"{"retry": {"maxAttempts": 1, "maxAttempts": 2}}"#,
            "/retry/maxAttempts",
        ),
        (
            Method::POST,
            "/v1/users/ann/agents/support/messages",
            r#"{"content": "hi", "metadata": {"a": "1", "a": "2"}}"#,
            "/metadata/a",
        ),
    ] {
        let answer = world.refused(world.api.call(method, path).text(body)).await;
        assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), pointer), "{body}");
        assert!(answer.detail().contains("more than once"), "{}", answer.body);
    }
}

#[tokio::test]
async fn a_blank_message_text_and_a_blank_conversation_id_are_refused_with_their_fields() {
    let world = World::new().await;
    for (conversation, text, pointer) in [
        ("talk", "", "/payload/messageText"),
        ("talk", " \n", "/payload/messageText"),
        (" ", "hi", "/conversationId"),
        ("", "hi", "/conversationId"),
    ] {
        let answer = world.refused(world.api.post("/v1/messages", message(conversation, text))).await;
        assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), pointer));
    }
    let blank = world.refused(world.api.get("/v1/conversations/%20")).await;
    assert_eq!(blank.problem(), (422, "invalid_field"));
}

#[tokio::test]
async fn a_lone_surrogate_in_a_message_of_an_app_becomes_the_replacement_character() {
    let world = World::new().await;
    world.bind("ann", "support").await;
    let send = |key: &'static str| {
        let call = world.api.post("/v1/users/ann/agents/support/messages", json!(null));
        call.text(r#"{"content": "x \ud83d", "metadata": {"a": "\ude00"}}"#).header("idempotency-key", key)
    };
    let sent = send("k").send().await.body_of(202);
    assert_eq!(send("k").send().await.body_of(202), sent, "a repetition is the same message");
    let payload = world.message(&sent["messageId"]).await["payload"].clone();
    assert_eq!(
        (&payload["messageText"], &payload["metadata"]["a"]),
        (&json!("x \u{fffd}"), &json!("\u{fffd}"))
    );
    let enqueued = message("talk", "?").to_string().replace('?', "x \\ud83d");
    let enqueued = world.api.post("/v1/messages", json!(null)).text(&enqueued).send().await.body_of(202);
    assert_eq!(world.message(&enqueued["messageId"]).await["payload"]["messageText"], "x \u{fffd}");
}

#[tokio::test]
async fn a_broken_character_in_a_secret_or_an_id_is_refused() {
    let world = World::new().await;
    let secret = world
        .refused(world.api.put("/v1/secrets/a.b", json!(null)).text(r#"{"plaintextValue": "s3cr\ud83d"}"#))
        .await;
    assert_eq!((secret.problem(), secret.pointer()), ((422, "invalid_field"), "/plaintextValue"));
    assert!(!secret.body.to_string().contains("s3cr"));
    let id = message("talk?", "hi").to_string().replace('?', "\\ud83d");
    let id = world.refused(world.api.post("/v1/messages", json!(null)).text(&id)).await;
    assert_eq!((id.problem(), id.pointer()), ((422, "invalid_field"), "/conversationId"));
}

#[tokio::test]
async fn a_reply_to_a_rich_message_of_300_kb_or_of_1_2_mb_is_accepted_without_its_raw_update() {
    let (bundle, telegram) = af_tests::telegram::with_telegram().await;
    let world = World::over(bundle).await;
    let person = Person::writes_to(&world.bundle, world.api.clone(), telegram, "support").await;
    for (update, bytes) in [(1, 300_000), (2, 1_200_000)] {
        let rich = json!({"message_id": 1, "chat": {"id": CHAT}, "rich_message": "r".repeat(bytes)});
        let id = person.says(update, json!({"text": "yes", "reply_to_message": rich})).await;
        let payload = world.message(&json!(id)).await["payload"].clone();
        assert_eq!((&payload["messageText"], &payload["rawUpdateJson"]), (&json!("yes"), &Value::Null));
        assert_eq!(payload["metadata"]["telegramRawUpdate"], "omitted");
    }
    let id = person.says(3, json!({"text": "x \u{1f600}"})).await;
    assert!(
        world.message(&json!(id)).await["payload"]["rawUpdateJson"].as_str().unwrap().contains("update_id")
    );
}
