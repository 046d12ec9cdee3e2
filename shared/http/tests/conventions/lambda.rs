use af_domain::ids::{ConsumerUserId, MessageId};
use af_http::{ApiPath, ApiQuery};
use axum::Router;
use axum::routing::get as on_get;
use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::support::enable_logs;

#[derive(Deserialize)]
struct Query {
    q: Option<String>,
}

async fn show(
    ApiPath((user, message)): ApiPath<(ConsumerUserId, MessageId)>,
    ApiQuery(query): ApiQuery<Query>,
) -> String {
    json!([user.as_str(), message.as_str(), query.q]).to_string()
}

/// The response of the function to an event of an HTTP API, with decoded `raw_path` and parameters.
async fn response_to(route_key: &str, raw_path: &str, user: &str) -> (u16, Value) {
    let event = json!({
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": raw_path,
        "rawQueryString": "q=a%20b",
        "headers": { "host": "example.execute-api.eu-central-1.amazonaws.com" },
        "pathParameters": { "consumerUserId": user, "messageId": "tg:1:2" },
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "example",
            "http": {
                "method": "GET", "path": raw_path, "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1", "userAgent": "test"
            },
            "requestId": "r",
            "routeKey": route_key,
            "stage": "$default",
            "timeEpoch": 0
        },
        "isBase64Encoded": false
    });
    let request = lambda_http::request::from_str(&event.to_string()).unwrap();
    let router = Router::new().route("/v1/users/{consumerUserId}/messages/{messageId}", on_get(show));
    enable_logs();
    let response = af_http::lambda(af_http::service(router)).oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

const ROUTE: &str = "GET /v1/users/{consumerUserId}/messages/{messageId}";

#[tokio::test]
async fn an_id_that_the_gateway_decoded_is_not_decoded_again() {
    let answer = response_to(ROUTE, "/v1/users/a%41 ü/messages/tg:1:2", "a%41 ü").await;
    assert_eq!(answer, (200, json!(["a%41 ü", "tg:1:2", "a b"])));
}

#[tokio::test]
async fn an_id_with_a_slash_stays_one_segment() {
    let answer = response_to(ROUTE, "/v1/users/a/b/messages/tg:1:2", "a/b").await;
    assert_eq!(answer, (200, json!(["a/b", "tg:1:2", "a b"])));
}

#[tokio::test]
async fn an_event_without_a_route_keeps_its_path() {
    let answer = response_to("$default", "/v1/users/u%20v/messages/m", "ignored").await;
    assert_eq!(answer, (200, json!(["u v", "m", "a b"])));
}
