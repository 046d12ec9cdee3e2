use std::io;
use std::sync::{Arc, Mutex};

use af_domain::refusal::Refusal;
use af_http::{Problem, RequestId};
use axum::Router;
use axum::body::Body;
use axum::routing::{get as on_get, post};
use http::Request;
use tracing::Level;
use tracing::instrument::WithSubscriber as _;

use crate::support::{Answer, ask, get};

fn router() -> Router {
    Router::new()
        .route("/id", on_get(|id: RequestId| async move { serde_json::json!(id.as_str()).to_string() }))
        .route("/panic", on_get(panics))
        .route("/w/{token}/poll", post(poll))
        .route("/refused", on_get(|| async { Problem::from(Refusal::not_found("agent x")) }))
}

async fn panics() -> &'static str {
    std::hint::black_box(None).expect("there is something")
}

async fn poll() -> &'static str {
    tracing::Span::current().record("worker_id", "w-1");
    "{}"
}

fn with_id(id: &str) -> Request<Body> {
    Request::get("/id").header("x-request-id", id).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_callers_request_id_is_used_and_returned() {
    let longest = "x".repeat(128);
    for id in ["req-1", &longest] {
        let answer = ask(router(), with_id(id)).await;
        assert_eq!(answer.header("x-request-id"), Some(id));
        assert_eq!(answer.body, id);
    }
}

#[tokio::test]
async fn an_invalid_request_id_is_replaced() {
    for id in ["", "two words", "ü", &"x".repeat(129)] {
        let answer = ask(router(), with_id(id)).await;
        let made = answer.header("x-request-id").unwrap();
        assert_ne!(made, id);
        assert_eq!(answer.body, made);
    }
    let (one, other) = (ask(router(), get("/id")).await, ask(router(), get("/id")).await);
    assert_ne!(one.header("x-request-id"), other.header("x-request-id"));
}

#[tokio::test]
async fn a_problem_has_its_request_id() {
    let request = Request::get("/refused").header("x-request-id", "req-9").body(Body::empty()).unwrap();
    let answer = ask(router(), request).await;
    assert_eq!(answer.problem(), (404, "not_found"));
    assert_eq!(answer.body["requestId"], "req-9");
}

#[tokio::test]
async fn an_unknown_path_is_a_problem() {
    assert_eq!(ask(router(), get("/nowhere")).await.problem(), (404, "not_found"));
}

#[tokio::test]
async fn a_wrong_method_is_a_problem_with_the_allowed_method() {
    let answer = ask(router(), Request::delete("/id").body(Body::empty()).unwrap()).await;
    assert_eq!(answer.problem(), (405, "not_found"));
    assert_eq!(answer.header("allow"), Some("GET,HEAD"));
}

#[tokio::test]
async fn a_panic_is_an_internal_error() {
    let answer = ask(router(), get("/panic")).await;
    assert_eq!(answer.problem(), (500, "internal"));
    assert!(!answer.body.to_string().contains("something\""));
}

/// The log lines.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    async fn of(request: Request<Body>, router: Router) -> (Vec<serde_json::Value>, Answer) {
        Self::during(Level::INFO, ask(router, request)).await
    }

    /// The lines of `call` at this level and above, and its answer.
    pub async fn during<T>(level: Level, call: impl Future<Output = T>) -> (Vec<serde_json::Value>, T) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_span_list(false);
        let subscriber = subscriber.with_max_level(level).with_writer(move || writer.clone()).finish();
        let answer = call.with_subscriber(subscriber).await;
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        (text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), answer)
    }
}

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test]
async fn a_response_is_logged_once_with_its_route_and_ids() {
    let request =
        Request::post("/w/s3cr3t/poll").header("x-request-id", "req-3").header("traceparent", TRACEPARENT);
    let (lines, _) = Log::of(request.body(Body::empty()).unwrap(), router()).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0]["latency_ms"].is_u64());
    let span = &lines[0]["span"];
    assert_eq!(span["request_id"], "req-3");
    assert_eq!(span["traceparent"], TRACEPARENT);
    assert_eq!(span["method"], "POST");
    assert_eq!(span["route"], "/w/{token}/poll");
    assert_eq!(span["status"], 200);
    assert_eq!(span["worker_id"], "w-1");
    assert!(!lines[0].to_string().contains("s3cr3t"));
}

#[tokio::test]
async fn a_path_without_a_route_is_not_logged() {
    let (lines, _) = Log::of(get("/w/s3cr3t/nowhere"), router()).await;
    assert_eq!(lines[0]["span"]["route"], "unmatched");
    assert!(!lines[0].to_string().contains("s3cr3t"));
}

#[tokio::test]
async fn a_malformed_traceparent_is_not_logged() {
    let other_version = TRACEPARENT.replacen("00", "ff", 1);
    for strange in ["", "s3cr3t", &TRACEPARENT.to_uppercase(), &format!("{TRACEPARENT}-00"), &other_version] {
        let request = Request::get("/id").header("traceparent", strange).body(Body::empty()).unwrap();
        let (lines, _) = Log::of(request, router()).await;
        assert!(lines[0]["span"].get("traceparent").is_none(), "{strange}");
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the store failed")]
struct Fault(#[source] io::Error);

impl af_domain::refusal::Refusable for Fault {
    fn refusal(&self) -> Option<&Refusal> {
        None
    }
}

#[tokio::test]
async fn an_internal_error_is_logged_once_with_its_causes() {
    let handler = || async { Problem::from(Fault(io::Error::other("connection reset"))) };
    let (lines, answer) = Log::of(get("/"), Router::new().route("/", on_get(handler))).await;
    assert_eq!(answer.problem(), (500, "internal"));
    let errors: Vec<_> = lines.iter().filter(|line| line["level"] == "ERROR").collect();
    assert_eq!(errors.len(), 1, "{lines:?}");
    assert_eq!(errors[0]["error"], "the store failed: connection reset");
    assert_eq!(errors[0]["span"]["request_id"].as_str(), answer.header("x-request-id"));
}

#[tokio::test]
async fn a_refusal_is_not_logged_as_an_error() {
    let (lines, _) = Log::of(get("/refused"), router()).await;
    assert!(lines.iter().all(|line| line["level"] == "INFO"), "{lines:?}");
}
