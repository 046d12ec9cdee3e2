use std::io;

use af_domain::refusal::{Code, Refusable, Refusal};
use af_domain::time::Millis;
use af_http::Problem;
use axum::Router;
use axum::routing::get as on_get;

use crate::support::{Answer, ask, get};

#[derive(Debug, thiserror::Error)]
enum AppError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the store failed")]
    Store(#[source] io::Error),
}

impl Refusable for AppError {
    fn refusal(&self) -> Option<&Refusal> {
        match self {
            AppError::Refused(refusal) => Some(refusal),
            AppError::Store(_) => None,
        }
    }
}

/// A handler like those of functions, with `?` on the result of a use case.
async fn response_to(error: fn() -> AppError) -> Answer {
    let handler = move || async move {
        Err::<(), AppError>(error())?;
        Ok::<_, Problem>("fine")
    };
    ask(Router::new().route("/", on_get(handler)), get("/")).await
}

#[tokio::test]
async fn a_refusal_is_sent_to_the_caller_unchanged() {
    let answer = response_to(|| Refusal::field("/priority", "must be 0 to 100").into()).await;
    assert_eq!(answer.problem(), (422, "invalid_field"));
    assert_eq!(answer.body["type"], "urn:agent-factory:problem:invalid_field");
    assert_eq!(answer.body["title"], "A field is not acceptable");
    assert_eq!(answer.body["detail"], "must be 0 to 100");
    assert_eq!(answer.field(), ("/priority", "must be 0 to 100"));
}

#[tokio::test]
async fn a_problem_without_a_field_has_no_list_of_fields() {
    let answer = response_to(|| Refusal::new(Code::StaleLease, "gone").into()).await;
    assert_eq!(answer.problem(), (409, "stale_lease"));
    assert!(answer.body.get("errors").is_none());
    assert!(answer.header("retry-after").is_none());
}

#[tokio::test]
async fn an_internal_error_is_sent_without_its_cause() {
    let answer = response_to(|| AppError::Store(io::Error::other("table agent-factory-prod"))).await;
    assert_eq!(answer.problem(), (500, "internal"));
    let body = answer.body.to_string();
    assert!(!body.contains("store") && !body.contains("agent-factory-prod"), "{body}");
}

#[tokio::test]
async fn retry_after_is_in_whole_seconds_rounded_up() {
    let answer = response_to(|| Refusal::new(Code::QueueFull, "full").after(Millis::new(1_001)).into()).await;
    assert_eq!(answer.problem(), (429, "queue_full"));
    assert_eq!(answer.header("retry-after"), Some("2"));

    let answer =
        response_to(|| Refusal::new(Code::Unavailable, "later").after(Millis::new(3_000)).into()).await;
    assert_eq!(answer.problem(), (503, "unavailable"));
    assert_eq!(answer.header("retry-after"), Some("3"));
}

#[tokio::test]
async fn a_rate_limited_response_always_has_a_retry_time() {
    let answer = response_to(|| Refusal::new(Code::RateLimited, "slow down").into()).await;
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn an_unauthorized_response_has_the_scheme() {
    let answer = response_to(|| Refusal::new(Code::Unauthorized, "who are you").into()).await;
    assert_eq!(answer.problem(), (401, "unauthorized"));
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
}

#[test]
fn every_code_has_its_status() {
    let expected = [
        (Code::MalformedRequest, 400),
        (Code::Unauthorized, 401),
        (Code::Forbidden, 403),
        (Code::NotFound, 404),
        (Code::InvalidField, 422),
        (Code::PayloadTooLarge, 413),
        (Code::StaleLease, 409),
        (Code::StaleSnapshot, 409),
        (Code::MessageRunning, 409),
        (Code::OutOfOrder, 409),
        (Code::AgentMismatch, 409),
        (Code::AgentDisabled, 409),
        (Code::BotConflict, 409),
        (Code::IdempotencyMismatch, 422),
        (Code::AlreadyExists, 409),
        (Code::Conflict, 409),
        (Code::QueueFull, 429),
        (Code::RateLimited, 429),
        (Code::NotConfigured, 409),
        (Code::Unavailable, 503),
        (Code::Internal, 500),
    ];
    for (code, status) in expected {
        assert_eq!(af_http::status(code).as_u16(), status, "{code:?}");
    }
}
