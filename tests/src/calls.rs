//! HTTP calls to a bundle's functions, in process, through the gateway. The gateway has only the template's routes.

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{HeaderMap, Method, Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt;

use af_local::streamed_routes;
use af_sam::gateway::{AnswerMode, Route, router};
use af_sam::template::EventDef;

use crate::bundle::Bundle;
use crate::contract;

/// Limit of an answer: the limit of Lambda.
const MAX_ANSWER_BYTES: usize = 6 * 1024 * 1024;

/// The functions of a bundle behind its HTTP API.
#[derive(Clone)]
pub struct Api {
    router: Router,
    admin_key: String,
}

/// A call under construction.
pub struct Call {
    router: Router,
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
}

/// A page as the answer to a call.
#[derive(Debug)]
pub struct Page {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The text.
    pub text: String,
}

/// The answer to a call.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; null when it is empty.
    pub body: Value,
}

impl Api {
    /// Starts every function that the template puts behind the HTTP API.
    ///
    /// # Panics
    /// When a function does not start, or the template's routes cannot be served.
    pub async fn of(bundle: &Bundle) -> Self {
        let mut routes = Vec::new();
        for function in &bundle.template.functions {
            let boot = bundle.restricted_boot(&function.binary);
            let built = match function.binary.as_str() {
                "webhook" => af_webhook::build(&boot).await,
                "worker" => af_worker::build(&boot).await,
                "user-api" => af_user_api::build(&boot).await,
                "admin-api" => af_admin_api::build(&boot).await,
                "stream" => af_stream::build(&boot).await,
                "console" => af_console::build(&boot).await,
                _ => continue,
            };
            let built = built.unwrap_or_else(|e| panic!("{} does not start: {e}", function.binary));
            for event in &function.events {
                match event {
                    EventDef::HttpApi { method, path } => {
                        let (method, path) = (method.clone(), path.clone());
                        let answer = AnswerMode::Buffered;
                        routes.push(Route { method, path, function: built.clone(), answer });
                    }
                    EventDef::FunctionUrl => routes.extend(streamed_routes(&built)),
                    _ => {}
                }
            }
        }
        let router = router(routes).expect("the template's routes can be served");
        Self { router, admin_key: bundle.admin_key() }
    }

    /// The router of all functions, for calls over a socket.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// A call with the admin key. `path` must be percent-encoded.
    #[must_use]
    pub fn call(&self, method: Method, path: &str) -> Call {
        let call = Call {
            router: self.router.clone(),
            method,
            path: path.to_owned(),
            headers: Vec::new(),
            body: None,
        };
        call.header("host", "factory.example").key(&self.admin_key)
    }

    /// `GET` with the admin key.
    #[must_use]
    pub fn get(&self, path: &str) -> Call {
        self.call(Method::GET, path)
    }

    /// `PUT` with the admin key.
    #[must_use]
    pub fn put(&self, path: &str, body: Value) -> Call {
        self.call(Method::PUT, path).json(&body)
    }

    /// `POST` with the admin key.
    #[must_use]
    pub fn post(&self, path: &str, body: Value) -> Call {
        self.call(Method::POST, path).json(&body)
    }

    /// `DELETE` with the admin key.
    #[must_use]
    pub fn delete(&self, path: &str) -> Call {
        self.call(Method::DELETE, path)
    }

    /// A new API key with these scopes.
    ///
    /// # Panics
    /// When the API creates none.
    pub async fn new_key(&self, scopes: &[&str]) -> String {
        let answer =
            self.post("/v1/keys", serde_json::json!({"name": "test", "scopes": scopes})).send().await;
        answer.body["key"].as_str().unwrap_or_else(|| panic!("no key: {answer:?}")).to_owned()
    }
}

impl Call {
    /// Sets this header and replaces one with the same name.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(n, _)| n != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets this key or token.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        self.header("authorization", &format!("Bearer {key}"))
    }

    /// Removes the key.
    #[must_use]
    pub fn anonymous(mut self) -> Self {
        self.headers.retain(|(n, _)| n != "authorization");
        self
    }

    /// Sets this body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.text(&body.to_string())
    }

    /// Sets this text as the body, with the content type of JSON.
    #[must_use]
    pub fn text(mut self, body: &str) -> Self {
        self.body = Some(body.to_owned());
        self.header("content-type", "application/json")
    }

    /// Sets these fields as the body, in the content type of a form.
    #[must_use]
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.text(&body).header("content-type", "application/x-www-form-urlencoded")
    }

    /// Sends the call to the routes of `router` instead.
    #[must_use]
    pub fn to(self, router: Router) -> Self {
        Self { router, ..self }
    }

    /// Sends the call.
    ///
    /// # Panics
    /// When the call is no valid HTTP request, the answer is no JSON, or the OpenAPI document does not allow the
    /// answer.
    pub async fn send(self) -> Answer {
        let (method, path) = (self.method.clone(), self.path.clone());
        let Page { status, headers, text } = self.page().await;
        let body = match text.is_empty() {
            true => Value::Null,
            false => serde_json::from_str(&text).expect("an answer is JSON"),
        };
        if let Err(difference) = contract::check(&method, &path, status, &headers, &body) {
            panic!("{method} {path} → {status}: {difference}\n{body}");
        }
        Answer { status, headers, body }
    }

    /// Sends the call, whose answer is a page.
    ///
    /// # Panics
    /// When the call is no valid HTTP request, or the answer is no text.
    pub async fn page(self) -> Page {
        let mut request = Request::builder().method(self.method).uri(&self.path);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let request = request
            .body(self.body.map_or_else(Body::empty, Body::from))
            .expect("a call is a valid HTTP request");
        let Ok(response) = self.router.oneshot(request).await;
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, MAX_ANSWER_BYTES).await.expect("an answer has a body");
        let text = String::from_utf8(bytes.to_vec()).expect("an answer is text");
        Page { status: parts.status, headers: parts.headers, text }
    }
}

impl Answer {
    /// The body of an answer with this status.
    ///
    /// # Panics
    /// When the answer has another status.
    #[track_caller]
    pub fn body_of(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self.body
    }

    /// Status and code of a problem.
    ///
    /// # Panics
    /// When the answer is no problem, or does not name its request.
    #[track_caller]
    #[must_use]
    pub fn problem(&self) -> (u16, &str) {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{}", self.body);
        assert_eq!(self.body["status"], self.status.as_u16());
        assert_eq!(self.body["requestId"].as_str(), self.headers["x-request-id"].to_str().ok());
        (self.status.as_u16(), self.body["code"].as_str().expect("a problem has a code"))
    }

    /// The pointer to the first invalid field.
    ///
    /// # Panics
    /// When the answer names no field.
    #[track_caller]
    #[must_use]
    pub fn pointer(&self) -> &str {
        self.body["errors"][0]["pointer"]
            .as_str()
            .unwrap_or_else(|| panic!("the answer names no invalid field: {}", self.body))
    }

    /// The explanation of a problem.
    #[must_use]
    pub fn detail(&self) -> &str {
        self.body["detail"].as_str().unwrap_or_default()
    }
}
