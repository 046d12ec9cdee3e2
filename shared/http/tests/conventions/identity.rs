use af_http::{Bearer, IdempotencyKey};
use axum::Router;
use axum::body::Body;
use axum::routing::get as on_get;
use http::Request;

use crate::support::{Answer, ask};

async fn who(bearer: Bearer) -> String {
    assert!(!format!("{bearer:?}").contains(bearer.expose()), "a token is redacted");
    serde_json::json!(bearer.expose()).to_string()
}

async fn key(key: Option<IdempotencyKey>) -> String {
    serde_json::json!(key.as_ref().map(IdempotencyKey::as_str)).to_string()
}

async fn response_of(path: &str, headers: &[(&str, &str)]) -> Answer {
    let router = Router::new().route("/who", on_get(who)).route("/key", on_get(key));
    let request =
        headers.iter().fold(Request::get(path), |request, (name, value)| request.header(*name, *value));
    ask(router, request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_bearer_token_is_accepted_with_any_case_of_its_scheme() {
    for scheme in ["Bearer", "bearer", "BEARER "] {
        let answer = response_of("/who", &[("authorization", &format!("{scheme} afk_1_s"))]).await;
        assert_eq!(answer.body, "afk_1_s");
    }
}

#[tokio::test]
async fn a_missing_or_malformed_token_is_unauthorized() {
    let long = format!("Bearer {}", "a".repeat(9_000));
    let strange = ["", "Bearer", "Bearer ", "Basic YTpi", "afk_1_s", "Bearer two words", "Bearer ü", &long];
    for value in strange {
        let answer = response_of("/who", &[("authorization", value)]).await;
        assert_eq!(answer.problem(), (401, "unauthorized"), "{value}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    assert_eq!(response_of("/who", &[]).await.problem(), (401, "unauthorized"));
    let twice = [("authorization", "Bearer a"), ("authorization", "Bearer b")];
    assert_eq!(response_of("/who", &twice).await.problem(), (401, "unauthorized"));
}

#[tokio::test]
async fn an_idempotency_key_is_optional() {
    assert_eq!(response_of("/key", &[]).await.status, 200);
    assert_eq!(response_of("/key", &[("idempotency-key", "order-7")]).await.body, "order-7");
    let longest = "k".repeat(255);
    assert_eq!(response_of("/key", &[("idempotency-key", &longest)]).await.body, longest.as_str());
}

#[tokio::test]
async fn an_idempotency_key_is_visible_ascii_and_short() {
    for value in ["", "two words", "ü", &"k".repeat(256)] {
        let answer = response_of("/key", &[("idempotency-key", value)]).await;
        assert_eq!(answer.problem(), (422, "invalid_field"), "{value}");
        assert!(answer.body["detail"].as_str().unwrap().contains("Idempotency-Key"));
    }
    let twice = [("idempotency-key", "a"), ("idempotency-key", "a")];
    assert_eq!(response_of("/key", &twice).await.problem(), (422, "invalid_field"));
}
