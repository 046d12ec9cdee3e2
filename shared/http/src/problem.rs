//! Errors as callers see them: RFC 9457 problem details.
//!
//! A [`Refusal`] becomes a problem with the same text, because it is written for callers. Any other error is internal:
//! it is logged here, once, with its chain of causes, and the caller learns only that it happened.

use std::error::Error;

use af_api::problem::{FieldError, PROBLEM_JSON, ProblemBody};
use af_domain::refusal::{Code, Refusable, Refusal};
use af_domain::time::Millis;
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};

/// A 429 always says when to retry. A refusal without a time asks for this many seconds.
const RATE_LIMIT_RETRY_SECS: u64 = 1;

/// How many causes of an error are logged. Chains are short; the limit protects the log.
const MAX_CAUSES: usize = 16;

/// The answer of a handler that fails. [`crate::service`] adds the request id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    code: Code,
    detail: String,
    errors: Vec<FieldError>,
    retry_after_secs: Option<u64>,
}

impl Problem {
    /// A problem without a field.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Refusal::new(code, detail).into()
    }

    /// The same problem under another status than its code's own.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The answer to an internal error.
    pub(crate) fn internal() -> Self {
        Self::new(
            Code::Internal,
            "something went wrong on our side; the request id leads to the cause in the log",
        )
    }

    /// The response, naming the request when its id is known.
    pub(crate) fn respond(&self, request_id: Option<&str>) -> Response {
        let body = ProblemBody {
            r#type: format!("urn:agent-factory:problem:{}", self.code.as_str()),
            title: title(self.code).to_owned(),
            status: self.status.as_u16(),
            detail: self.detail.clone(),
            code: self.code.as_str().to_owned(),
            request_id: request_id.map(str::to_owned),
            errors: self.errors.clone(),
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(secs) = self.retry_after_secs {
            headers.insert(RETRY_AFTER, HeaderValue::from(secs));
        }
        response
    }
}

/// The headers that [`Problem::respond`] writes itself; others are kept when a problem is written again.
pub(crate) const OWN_HEADERS: [HeaderName; 2] = [CONTENT_TYPE, http::header::CONTENT_LENGTH];

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.respond(None);
        // `service` finds the problem here and writes it again with the request's id.
        response.extensions_mut().insert(self);
        response
    }
}

impl<E: Refusable + 'static> From<E> for Problem {
    fn from(error: E) -> Self {
        match error.refusal() {
            Some(refusal) => Self::of(refusal),
            None => {
                tracing::error!(error = %Chain(&error), "a request failed");
                Self::internal()
            }
        }
    }
}

impl Problem {
    fn of(refusal: &Refusal) -> Self {
        let Refusal { code, detail, pointer, retry_after } = refusal;
        let errors =
            pointer.iter().map(|pointer| FieldError { pointer: pointer.clone(), message: detail.clone() });
        let asked = retry_after.map(whole_secs);
        let status = status(*code);
        let fallback = (status == StatusCode::TOO_MANY_REQUESTS).then_some(RATE_LIMIT_RETRY_SECS);
        Self {
            status,
            code: *code,
            detail: detail.clone(),
            errors: errors.collect(),
            retry_after_secs: asked.or(fallback),
        }
    }
}

/// Rounds up, because a caller that retries too early is refused again.
fn whole_secs(wait: Millis) -> u64 {
    wait.as_millis().div_ceil(1_000)
}

/// The HTTP status of a code.
pub const fn status(code: Code) -> StatusCode {
    match code {
        Code::MalformedRequest => StatusCode::BAD_REQUEST,
        Code::Unauthorized => StatusCode::UNAUTHORIZED,
        Code::Forbidden => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::InvalidField | Code::IdempotencyMismatch => StatusCode::UNPROCESSABLE_ENTITY,
        Code::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::StaleLease
        | Code::StaleSnapshot
        | Code::MessageRunning
        | Code::OutOfOrder
        | Code::AgentMismatch
        | Code::AgentDisabled
        | Code::BotConflict
        | Code::AlreadyExists
        | Code::Conflict
        | Code::NotConfigured => StatusCode::CONFLICT,
        Code::QueueFull | Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The same text for every problem of a code, as RFC 9457 requires of a title.
const fn title(code: Code) -> &'static str {
    match code {
        Code::MalformedRequest => "The request cannot be read",
        Code::Unauthorized => "No valid key or token",
        Code::Forbidden => "The key or token does not allow this",
        Code::NotFound => "Not found",
        Code::InvalidField => "A field is not acceptable",
        Code::PayloadTooLarge => "The body is too large",
        Code::StaleLease => "The lease is not in force",
        Code::StaleSnapshot => "The snapshot is out of date",
        Code::MessageRunning => "A message runs",
        Code::OutOfOrder => "The append is out of order",
        Code::AgentMismatch => "The conversation belongs to another agent",
        Code::AgentDisabled => "The agent is disabled",
        Code::BotConflict => "The bot or the agent is taken",
        Code::IdempotencyMismatch => "The idempotency key was used for another request",
        Code::AlreadyExists => "The id is in use",
        Code::Conflict => "The state does not allow this",
        Code::QueueFull => "Too many messages wait",
        Code::RateLimited => "Too many requests",
        Code::NotConfigured => "Something needed first is missing",
        Code::Unavailable => "Not available at the moment",
        Code::Internal => "A fault of ours",
    }
}

/// An error and its causes on one line.
pub struct Chain<'a>(pub &'a dyn Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let causes = std::iter::successors(self.0.source(), |&cause| cause.source());
        causes.take(MAX_CAUSES).try_for_each(|cause| write!(f, ": {cause}"))
    }
}
