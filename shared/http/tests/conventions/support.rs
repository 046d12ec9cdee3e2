//! One request against a router, and the answer taken apart.

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

    /// The status and code of a problem, checked to be one and to name its request.
    pub fn problem(&self) -> (u16, &str) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.body);
        assert_eq!(self.body["status"], self.status.as_u16());
        assert_eq!(self.body["requestId"].as_str(), self.header("x-request-id"));
        (self.status.as_u16(), self.body["code"].as_str().unwrap())
    }

    /// Pointer and message of the only field at fault.
    pub fn field(&self) -> (&str, &str) {
        let errors = self.body["errors"].as_array().unwrap();
        assert_eq!(errors.len(), 1, "{}", self.body);
        (errors[0]["pointer"].as_str().unwrap(), errors[0]["message"].as_str().unwrap())
    }
}

/// Enables every log statement before the first test reaches it.
///
/// Otherwise `tracing` disables a statement for the whole process when a test without a subscriber reaches it first.
pub fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| tracing::subscriber::set_global_default(tracing_subscriber::registry()).unwrap());
}

/// What `router`, made into a service, answers.
pub async fn ask(router: Router, request: Request<Body>) -> Answer {
    listen();
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
