use af_domain::ids::{ConsumerUserId, DocumentPath, MessageId};
use af_http::{ApiPath, ApiQuery};
use axum::Router;
use axum::routing::get as on_get;
use http::StatusCode;
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use lambda_http::{Context, LambdaEvent};
use serde::Deserialize;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use tracing::Level;

use crate::requests::Log;
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
    response_to_event(&event(route_key, raw_path, user)).await
}

fn event(route_key: &str, raw_path: &str, user: &str) -> Value {
    json!({
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
    })
}

async fn response_to_event(event: &Value) -> (u16, Value) {
    let router = Router::new().route("/v1/users/{consumerUserId}/messages/{messageId}", on_get(show));
    response_of(router, event).await
}

async fn response_of(router: Router, event: &Value) -> (u16, Value) {
    let payload: ApiGatewayV2httpRequest = serde_json::from_value(event.clone()).unwrap();
    enable_logs();
    let service = af_http::lambda_service(af_http::service(router));
    let response = service.oneshot(LambdaEvent::new(payload, Context::default())).await.unwrap();
    let response = serde_json::to_value(response).unwrap();
    let status = u16::try_from(response["statusCode"].as_u64().unwrap()).unwrap();
    let body = response["body"].as_str().unwrap_or_default();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
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

async fn show_document(ApiPath((user, path)): ApiPath<(ConsumerUserId, DocumentPath)>) -> String {
    json!([user.as_str(), path.as_str()]).to_string()
}

#[tokio::test]
async fn an_id_before_a_greedy_parameter_is_not_decoded_again() {
    const DOCUMENT: &str = "memory/2026-11-30.md";
    for user in ["a%41 ü", "a/b", "a?b", "a#b"] {
        let raw_path = format!("/v1/users/{user}/documents/{DOCUMENT}");
        let mut event = event("GET /v1/users/{consumerUserId}/documents/{path+}", &raw_path, user);
        event["pathParameters"]["path"] = DOCUMENT.into();
        let router =
            Router::new().route("/v1/users/{consumerUserId}/documents/{*path}", on_get(show_document));
        assert_eq!(response_of(router, &event).await, (200, json!([user, DOCUMENT])), "{user}");
    }
}

#[tokio::test]
async fn an_event_without_a_route_keeps_its_path() {
    let answer = response_to("$default", "/v1/users/u%20v/messages/m", "ignored").await;
    assert_eq!(answer, (200, json!(["u v", "m", "a b"])));
}

#[tokio::test]
async fn an_id_with_a_question_mark_or_a_number_sign_does_not_end_the_path() {
    for id in ["a?b", "a#b", "?q=x", "a\\b", "{a}", ".."] {
        let answer = response_to(ROUTE, &format!("/v1/users/{id}/messages/tg:1:2"), id).await;
        assert_eq!(answer, (200, json!([id, "tg:1:2", "a b"])), "{id}");
    }
}

#[tokio::test]
async fn a_query_that_no_uri_may_contain_is_answered() {
    for (query, value) in [
        ("q=a b", "a b"),
        ("q=\"", "\""),
        ("q=<a>", "<a>"),
        ("q=ü\u{7f}", "ü\u{7f}"),
        ("q=a#b", "a#b"),
        ("q=\\^`{|}", "\\^`{|}"),
        ("q=a\nb\0", "a\nb\0"),
    ] {
        let mut event = event(ROUTE, "/v1/users/u/messages/m", "u");
        event["rawQueryString"] = query.into();
        event["pathParameters"]["messageId"] = "m".into();
        assert_eq!(response_to_event(&event).await, (200, json!(["u", "m", value])), "{query:?}");
    }
}

#[tokio::test]
async fn headers_that_cannot_be_in_a_uri_are_answered() {
    for (name, value) in [
        ("host", "a b"),
        ("host", "["),
        ("host", ""),
        ("x-forwarded-proto", "a:/b"),
        ("x-forwarded-proto", ""),
    ] {
        let mut event = event(ROUTE, "/v1/users/u/messages/tg:1:2", "u");
        event["headers"][name] = value.into();
        assert_eq!(response_to_event(&event).await, (200, json!(["u", "tg:1:2", "a b"])), "{name}: {value}");
    }
}

#[tokio::test]
async fn any_text_in_a_query_or_a_path_is_answered() {
    for code in (0..=0x2ff_u32).filter_map(char::from_u32) {
        let mut event = event(ROUTE, &format!("/v1/users/a{code}/messages/tg:1:2"), &format!("a{code}"));
        event["rawQueryString"] = format!("q=a{code}b&{code}").into();
        let (status, _) = response_to_event(&event).await;
        assert!(matches!(status, 200 | 400 | 422), "{code:?}: {status}");
        event["routeKey"] = "$default".into();
        event["requestContext"]["routeKey"] = "$default".into();
        let (status, _) = response_to_event(&event).await;
        assert!(matches!(status, 200 | 400 | 404 | 422), "{code:?}: {status}");
    }
}

async fn log_and_fail() -> StatusCode {
    tracing::warn!("a line of a use case");
    tracing::error!("an error of a use case");
    StatusCode::INTERNAL_SERVER_ERROR
}

#[tokio::test]
async fn every_line_of_a_request_has_the_ids_of_the_access_log_and_of_lambda_at_every_level() {
    enable_logs();
    for (level, lines) in [(Level::ERROR, 1), (Level::WARN, 2), (Level::INFO, 3)] {
        let payload: ApiGatewayV2httpRequest = serde_json::from_value(event("GET /", "/", "u")).unwrap();
        let mut context = Context::default();
        context.request_id = "id-of-lambda".to_owned();
        let router = Router::new().route("/", on_get(log_and_fail));
        let call =
            af_http::lambda_service(af_http::service(router)).oneshot(LambdaEvent::new(payload, context));
        let (log, response) = Log::during(level, call).await;
        response.unwrap();
        assert!(log.len() >= lines, "{level}: {log:?}");
        for line in &log {
            let span = &line["span"];
            assert_eq!(
                (&span["gateway_request_id"], &span["function_request_id"]),
                (&json!("r"), &json!("id-of-lambda"))
            );
        }
    }
}
