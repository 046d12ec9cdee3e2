//! The id of a request: in its answer, in problems and in the log.

use std::convert::Infallible;
use std::fmt;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// The header with the id, in requests and answers.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is accepted from a caller, in bytes.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// A request's id: the caller's `X-Request-Id`, or a random id. An extractor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The caller's id when it has 1 to 128 visible ASCII characters, because it is logged and sent back; else a random id.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        headers.get(X_REQUEST_ID).filter(|id| acceptable(id)).map_or_else(Self::random, |id| Self(id.clone()))
    }

    fn random() -> Self {
        let id = Uuid::new_v4().to_string();
        Self(HeaderValue::from_str(&id).expect("a UUID is visible ASCII"))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().expect("checked to be visible ASCII when it was taken")
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

fn acceptable(id: &HeaderValue) -> bool {
    (1..=MAX_REQUEST_ID_BYTES).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let known = parts.extensions.get::<Self>().cloned();
        Ok(known.unwrap_or_else(|| Self::of(&parts.headers)))
    }
}
