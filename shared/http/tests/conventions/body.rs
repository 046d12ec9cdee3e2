use af_api::id::Id;
use af_domain::ids::{AgentKey, SecretRef};
use af_http::{ApiJson, MAX_BODY_BYTES};
use axum::Router;
use axum::body::Body;
use axum::routing::post;
use http::Request;
use serde::Deserialize;

use crate::support::{Answer, ask, post_json};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Send {
    content: String,
    #[serde(default)]
    priority: Option<u8>,
    #[serde(default)]
    attachments: Vec<Attachment>,
    #[serde(default)]
    kind: Option<Kind>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Attachment {
    #[serde(rename = "file/name")]
    file_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Now,
    Later,
}

async fn handle(ApiJson(send): ApiJson<Send>) -> String {
    let files = send.attachments.iter().map(|attachment| attachment.file_name.as_str());
    let kind = send.kind.map(|kind| matches!(kind, Kind::Now | Kind::Later));
    serde_json::json!({
        "content": send.content,
        "priority": send.priority,
        "files": files.collect::<Vec<_>>(),
        "kind": kind,
    })
    .to_string()
}

async fn sent(request: Request<Body>) -> Answer {
    ask(Router::new().route("/", post(handle)), request).await
}

async fn refused(body: &'static str) -> Answer {
    sent(post_json("/", body)).await
}

#[tokio::test]
async fn a_valid_body_is_accepted() {
    let answer = refused(r#"{"content": "hi", "priority": 3}"#).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["content"], "hi");
    assert_eq!(answer.body["priority"], 3);
}

#[tokio::test]
async fn json_with_parameters_or_a_suffix_is_json() {
    for content_type in ["application/json; charset=utf-8", "Application/JSON", "application/vnd.api+json"] {
        let request =
            Request::post("/").header("content-type", content_type).body(r#"{"content":"hi"}"#.into());
        assert_eq!(sent(request.unwrap()).await.status, 200, "{content_type}");
    }
}

#[tokio::test]
async fn another_content_type_is_malformed_and_is_in_the_message() {
    let without = Request::post("/").body(Body::from("{}")).unwrap();
    let form = Request::post("/").header("content-type", "text/plain").body(Body::from("{}")).unwrap();
    for request in [without, form] {
        let answer = sent(request).await;
        assert_eq!(answer.problem(), (400, "malformed_request"));
        assert!(answer.body["detail"].as_str().unwrap().contains("Content-Type"));
    }
}

#[tokio::test]
async fn a_body_that_is_not_json_is_malformed_with_its_position() {
    for (body, place) in
        [("{\n  oops", "line 2 column 3"), ("", "line 1 column 0"), ("{\"content\":\"a\"} x", "line 1")]
    {
        let answer = refused(body).await;
        assert_eq!(answer.problem(), (400, "malformed_request"), "{body}");
        assert!(answer.body["detail"].as_str().unwrap().contains(place), "{}", answer.body);
    }
}

#[tokio::test]
async fn a_lone_surrogate_and_bytes_that_are_not_utf_8_become_the_replacement_character() {
    for body in [&br#"{"content":"x \ud83d"}"#[..], b"{\"content\":\"x \xff\"}"] {
        assert_eq!(sent(post_json("/", body)).await.body["content"], "x \u{fffd}");
    }
    let whole = sent(post_json("/", &br#"{"content":"\ud83d\ude00"}"#[..])).await;
    assert_eq!(whole.body["content"], "\u{1f600}");
}

#[tokio::test]
async fn a_list_where_an_object_is_due_is_refused_with_its_pointer() {
    for (body, pointer) in [
        (r#"["hi", 3, [], null]"#, ""),
        (r#"{"content": "hi", "attachments": [{"file/name": "a"}, ["b"]]}"#, "/attachments/1"),
    ] {
        let answer = refused(body).await;
        assert_eq!(answer.problem(), (422, "invalid_field"), "{body}");
        assert_eq!(answer.field(), (pointer, "must be an object"));
    }
}

async fn handle_map(ApiJson(map): ApiJson<serde_json::Map<String, serde_json::Value>>) -> String {
    serde_json::Value::Object(map).to_string()
}

#[tokio::test]
async fn a_duplicate_key_of_a_map_is_refused_with_its_pointer_at_any_depth() {
    let map = |body| ask(Router::new().route("/", post(handle_map)), post_json("/", body));
    for (body, pointer) in
        [(r#"{"a": 1, "b": 2, "a": 1}"#, "/a"), (r#"{"a": {"b": [{"c": 1, "c": 2}]}}"#, "/a/b/0/c")]
    {
        let answer = map(body).await;
        assert_eq!(answer.problem(), (422, "invalid_field"), "{body}");
        assert_eq!(answer.field().0, pointer);
        assert!(answer.field().1.ends_with("is given more than once"), "{}", answer.body);
    }
    assert_eq!(map(r#"{"a": {"a": [{"a": 1}, {"a": 1}]}}"#).await.status, 200);
}

#[tokio::test]
async fn a_number_that_does_not_fit_into_63_bits_is_refused_with_its_pointer_at_any_depth() {
    let map = |body| ask(Router::new().route("/", post(handle_map)), post_json("/", body));
    for (body, pointer) in
        [(r#"{"a": 9223372036854775808}"#, "/a"), (r#"{"a": [{"b": 18446744073709551615}]}"#, "/a/0/b")]
    {
        let answer = map(body).await;
        assert_eq!(answer.problem(), (422, "invalid_field"), "{body}");
        assert_eq!(answer.field(), (pointer, "must be a whole number of at most 63 bits"));
    }
    assert_eq!(map(r#"{"a": 9223372036854775807}"#).await.status, 200);
}

#[tokio::test]
async fn a_missing_field_is_refused_with_its_pointer() {
    let answer = refused("{}").await;
    assert_eq!(answer.problem(), (422, "invalid_field"));
    assert_eq!(answer.field(), ("/content", "content is needed"));
}

#[tokio::test]
async fn an_unknown_field_is_refused_with_its_pointer_at_any_depth() {
    let answer = refused(r#"{"content": "hi", "prio": 1}"#).await;
    assert_eq!(answer.problem(), (422, "invalid_field"));
    assert_eq!(answer.field().0, "/prio");
    assert!(answer.field().1.contains("`priority`"), "{}", answer.body);

    let answer =
        refused(r#"{"content": "hi", "attachments": [{"file/name": "a"}, {"file/name": "b", "si~ze": 1}]}"#)
            .await;
    assert_eq!(answer.field().0, "/attachments/1/si~0ze");
}

#[tokio::test]
async fn a_repeated_field_is_refused_with_its_pointer() {
    let answer = refused(r#"{"content": "a", "content": "b"}"#).await;
    assert_eq!(answer.problem(), (422, "invalid_field"));
    assert_eq!(answer.field(), ("/content", "content is given more than once"));
}

#[tokio::test]
async fn a_long_name_is_shortened_in_the_message() {
    let answer = sent(post_json("/", format!(r#"{{"content": "a", "{}": 1}}"#, "ü".repeat(100_000)))).await;
    assert_eq!(answer.problem(), (422, "invalid_field"));
    assert!(answer.body.to_string().len() < 2_000);
}

#[tokio::test]
async fn a_wrong_type_is_refused_with_its_pointer_in_terms_of_the_api() {
    let cases = [
        (r#"{"content": 7}"#, "/content", "must be a string"),
        (r#"{"content": "a", "priority": -1}"#, "/priority", "must be a whole number, zero or more"),
        (
            r#"{"content": "a", "priority": "a, expected b"}"#,
            "/priority",
            "must be a whole number, zero or more",
        ),
        (r#"{"content": "a", "attachments": {}}"#, "/attachments", "must be a list"),
        (r#"{"content": "a", "attachments": [1]}"#, "/attachments/0", "must be an object"),
        (
            r#"{"content": "a", "attachments": [{"file/name": 1}]}"#,
            "/attachments/0/file~1name",
            "must be a string",
        ),
        (r#"{"content": "a", "kind": "soon"}"#, "/kind", "must be `now` or `later`"),
        ("[]", "", "must be an object"),
        ("7", "", "must be an object"),
    ];
    for (body, pointer, message) in cases {
        let answer = refused(body).await;
        assert_eq!(answer.problem(), (422, "invalid_field"), "{body}");
        assert_eq!(answer.field(), (pointer, message), "{body}");
    }
}

#[tokio::test]
async fn an_invalid_value_is_not_shown_in_the_message() {
    for body in [
        r#"{"content": "a", "priority": "s3cr3t"}"#,
        r#"{"content": "a", "kind": "s3cr3t"}"#,
        r#"{"content": "a", "attachments": "s3cr3t"}"#,
        r#"{"content": {"s3cr3t": 1}}"#,
    ] {
        let answer = refused(body).await;
        assert_eq!(answer.status, 422);
        assert!(!answer.body.to_string().contains("s3cr3t"), "{}", answer.body);
    }
}

#[tokio::test]
async fn a_body_above_the_limit_is_too_large() {
    let filling = MAX_BODY_BYTES - r#"{"content":""}"#.len();
    let largest = format!(r#"{{"content":"{}"}}"#, "a".repeat(filling));
    assert_eq!(sent(post_json("/", largest.clone())).await.status, 200);
    let answer = sent(post_json("/", format!("{largest} "))).await;
    assert_eq!(answer.problem(), (413, "payload_too_large"));
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    agent_key: Id<AgentKey>,
    #[serde(default)]
    secrets_ref: Vec<Id<SecretRef>>,
    #[serde(default)]
    fallback: Option<Id<AgentKey>>,
}

async fn read(ApiJson(profile): ApiJson<Profile>) -> String {
    let secrets: Vec<_> = profile.secrets_ref.iter().map(|secret| secret.0.as_str()).collect();
    serde_json::json!([profile.agent_key.0.as_str(), secrets, profile.fallback.is_some()]).to_string()
}

#[tokio::test]
async fn an_invalid_id_in_a_body_is_refused_with_its_pointer() {
    let sent = |body: &'static str| ask(Router::new().route("/", post(read)), post_json("/", body));
    let answer = sent(r#"{"agentKey": "a", "secretsRef": ["x.y"], "fallback": null}"#).await;
    assert_eq!(answer.body, serde_json::json!(["a", ["x.y"], false]));
    let answer = sent(r#"{"agentKey": "a", "secretsRef": ["x", "y z"]}"#).await;
    assert_eq!(answer.problem(), (422, "invalid_field"));
    let rule = "secretRef must be 1 to 200 letters, digits, '.', '_' or '-'";
    assert_eq!(answer.field(), ("/secretsRef/1", rule));
    let answer = sent(r#"{"agentKey": 7}"#).await;
    assert_eq!(answer.field(), ("/agentKey", "must be a string"));
}
