//! The key by which a repeated request is recognised.

use af_domain::refusal::Refusal;
use axum::extract::OptionalFromRequestParts;
use http::HeaderMap;
use http::request::Parts;

use crate::problem::Problem;

/// The header's name, as callers know it.
const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// The longest key, in bytes.
const MAX_KEY_BYTES: usize = 255;

/// The header `Idempotency-Key`: 1 to 255 visible ASCII characters. Handlers take an `Option<IdempotencyKey>`, because the
/// header is optional.
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
        let fits = (1..=MAX_KEY_BYTES).contains(&value.len())
            && value.as_bytes().iter().all(u8::is_ascii_graphic)
            && values.next().is_none();
        let text = value.to_str().ok().filter(|_| fits).ok_or_else(|| {
            invalid(format!("the {IDEMPOTENCY_KEY} header must be 1 to {MAX_KEY_BYTES} visible ASCII characters, given once"))
        })?;
        Ok(Some(Self(text.to_owned())))
    }
}

/// A header has no pointer, because pointers name fields of the body.
fn invalid(detail: String) -> Refusal {
    Refusal { pointer: None, ..Refusal::field("", detail) }
}

impl<S: Sync> OptionalFromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        Ok(Self::read(&parts.headers)?)
    }
}
