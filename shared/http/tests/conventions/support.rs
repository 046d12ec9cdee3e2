//! One request to a router, and the parts of its response.

use std::sync::Once;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The status and code of a problem. Checks that the response is a problem and has the request id.
    pub fn problem(&self) -> (u16, &str) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.body);
        assert_eq!(self.body["status"], self.status.as_u16());
        assert_eq!(self.body["requestId"].as_str(), self.header("x-request-id"));
        (self.status.as_u16(), self.body["code"].as_str().unwrap())
    }

    /// The pointer and message of the only invalid field.
    pub fn field(&self) -> (&str, &str) {
        let errors = self.body["errors"].as_array().unwrap();
        assert_eq!(errors.len(), 1, "{}", self.body);
        (errors[0]["pointer"].as_str().unwrap(), errors[0]["message"].as_str().unwrap())
    }
}

/// Enables every log statement before the first test reaches it.
///
/// Otherwise `tracing` disables a statement for the whole process when a test without a subscriber reaches it first.
pub fn enable_logs() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| tracing::subscriber::set_global_default(tracing_subscriber::registry()).unwrap());
}

/// The response of `router` as a service.
pub async fn ask(router: Router, request: Request<Body>) -> Answer {
    enable_logs();
    let response = af_http::service(router).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let body =
        if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap_or(Value::Null) };
    Answer { status: parts.status, headers: parts.headers, body }
}

pub fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

pub fn post_json(path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path).header("content-type", "application/json").body(body.into()).unwrap()
}
