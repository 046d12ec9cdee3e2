//! A call of the API: the request as it was read, its answer, and a refusal in Fly's form.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::action::Target;
use crate::state::MachineState;

/// A refusal, in Fly's form.
#[derive(Debug)]
pub(crate) struct Refused {
    pub status: StatusCode,
    pub error: String,
    pub retry_after_secs: Option<u64>,
}

impl Refused {
    pub fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into(), retry_after_secs: None }
    }

    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("{what} not found"))
    }

    pub fn precondition(why: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, format!("failed_precondition: {why}"))
    }

    pub fn invalid(why: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, format!("invalid_argument: {why}"))
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(json!({"error": self.error}))).into_response();
        if let Some(seconds) = self.retry_after_secs {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// A request that was read.
pub(crate) struct Call {
    pub target: Target,
    pub query: Vec<(String, String)>,
    pub body: Value,
    /// Whether the machine that this call stops never ends.
    pub stuck: bool,
    /// The state that the machine which this call creates ends up in.
    pub comes_to: MachineState,
}

impl Call {
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// An answer: its body, and the cursor of the next page of a list.
pub(crate) struct Answer {
    pub body: Value,
    pub next_cursor: Option<String>,
}

impl From<Value> for Answer {
    fn from(body: Value) -> Self {
        Self { body, next_cursor: None }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = axum::Json(self.body).into_response();
        if let Some(cursor) = self.next_cursor.and_then(|c| HeaderValue::from_str(&c).ok()) {
            response.headers_mut().insert("fly-next-cursor", cursor);
        }
        response
    }
}

/// One page of `items`, which are in the order of their ids; the cursor is the last id of the page before.
pub(crate) fn page<'a, T: 'a>(
    items: impl Iterator<Item = &'a T>,
    max_page_len: usize,
    call: &Call,
    id: impl Fn(&T) -> String,
    shown: impl Fn(&T) -> Value,
) -> Result<Answer, Refused> {
    let paged = call.query("limit").is_some() || call.query("cursor").is_some();
    let limit = match call.query("limit").map(str::parse::<usize>) {
        None => max_page_len,
        Some(Ok(limit)) if limit > 0 => limit.min(max_page_len),
        Some(_) => return Err(Refused::invalid("limit must be a whole number above 0")),
    };
    let after = call.query("cursor").unwrap_or_default();
    let mut rest: Vec<&T> = items.filter(|item| id(item).as_str() > after).collect();
    let more = paged && rest.len() > limit;
    if paged {
        rest.truncate(limit);
    }
    let next_cursor = rest.last().filter(|_| more).map(|last| id(last));
    Ok(Answer { body: rest.into_iter().map(shown).collect(), next_cursor })
}
