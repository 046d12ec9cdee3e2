//! JSON bodies.

use af_domain::json_text::mended;
use af_domain::refusal::{Code, Refusal};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::error::Category;

use super::shape;
use super::strict::Strict;
use crate::problem::Problem;

/// The body as a `T`. A body that is not JSON is 400 with line and column. A body of the wrong shape, with a repeated key,
/// or with an unknown field when `T` has `#[serde(deny_unknown_fields)]`, is 422 with a pointer. A body over the limit is
/// 413. Broken characters are replaced, as [`mended`] does.
#[derive(Clone, Copy, Debug)]
pub struct ApiJson<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for ApiJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        check_content_type(request.headers())?;
        let body = Bytes::from_request(request, state).await;
        let body = body.map_err(|rejection| unreadable(&rejection))?;
        Ok(Self(parse(&body)?))
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let text = mended(body);
    let mut deserializer = serde_json::Deserializer::from_str(&text);
    let value = serde_path_to_error::deserialize(Strict(&mut deserializer)).map_err(|e| refusal(&e))?;
    deserializer.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

/// Reads parsed JSON as [`ApiJson`] does.
///
/// # Errors
/// `invalid_field` for JSON of another shape.
pub fn parse_value<T: DeserializeOwned>(json: Value) -> Result<T, Refusal> {
    serde_path_to_error::deserialize(Strict(json)).map_err(|e| refusal(&e))
}

fn refusal(error: &serde_path_to_error::Error<serde_json::Error>) -> Refusal {
    match error.inner().classify() {
        Category::Data => shape::refusal(error.path(), &error.inner().to_string()),
        Category::Syntax | Category::Eof | Category::Io => malformed(error.inner()),
    }
}

fn malformed(error: &serde_json::Error) -> Refusal {
    // serde_json ends its message with the line and column, and quotes nothing of the body for syntax errors.
    Refusal::new(Code::MalformedRequest, format!("the body is not valid JSON: {error}"))
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let structured = media_type.starts_with("application/") && media_type.ends_with("+json");
    if media_type == "application/json" || structured {
        return Ok(());
    }
    Err(Refusal::new(Code::MalformedRequest, "the Content-Type header must be application/json"))
}

fn unreadable(rejection: &BytesRejection) -> Refusal {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let detail = format!("the body may have {} bytes at most", crate::MAX_BODY_BYTES);
        return Refusal::new(Code::PayloadTooLarge, detail);
    }
    Refusal::new(Code::MalformedRequest, "the body broke off")
}
