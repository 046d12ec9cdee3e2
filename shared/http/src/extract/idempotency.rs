//! The caller's promise that two requests are one.

use af_domain::refusal::Refusal;
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::HeaderMap;
use http::request::Parts;

use crate::problem::Problem;

/// The header's name, as callers know it.
const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// The longest key, in bytes.
const KEY_BYTES_MAX: usize = 255;

/// The header `Idempotency-Key`: 1 to 255 visible ASCII characters. Take it as `Option<IdempotencyKey>`: no header
/// is no key; taken bare, the header is required.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn read(headers: &HeaderMap) -> Result<Option<Self>, Refusal> {
        let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        let fits = (1..=KEY_BYTES_MAX).contains(&value.len())
            && value.as_bytes().iter().all(u8::is_ascii_graphic)
            && values.next().is_none();
        let text = value.to_str().ok().filter(|_| fits).ok_or_else(|| {
            invalid(format!("the {IDEMPOTENCY_KEY} header must be 1 to {KEY_BYTES_MAX} visible ASCII characters, given once"))
        })?;
        Ok(Some(Self(text.to_owned())))
    }
}

/// A header has no place in the body for a pointer to name.
fn invalid(detail: String) -> Refusal {
    Refusal { pointer: None, ..Refusal::field("", detail) }
}

impl<S: Sync> OptionalFromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        Ok(Self::read(&parts.headers)?)
    }
}

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let missing = || invalid(format!("the {IDEMPOTENCY_KEY} header is needed"));
        Ok(Self::read(&parts.headers)?.ok_or_else(missing)?)
    }
}
