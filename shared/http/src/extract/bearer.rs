//! The key or token of a request.

use af_domain::refusal::{Code, Refusal};
use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use secrecy::{ExposeSecret, SecretString};

use crate::problem::Problem;

/// The longest key or token that is read, in bytes. Keys of this deployment have fewer than 200; a JWT may have a few
/// thousand.
const MAX_TOKEN_BYTES: usize = 8_192;

/// The token of `Authorization: Bearer <token>` (RFC 6750). Redacted in `Debug`.
#[derive(Clone, Debug)]
pub struct Bearer(pub SecretString);

impl Bearer {
    /// The token itself.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Reads the headers. The refusal never repeats the value.
    fn read(headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (value, None) = (values.next(), values.next()) else {
            return Err(unauthorized("there must be one Authorization header"));
        };
        let text =
            value.ok_or_else(|| unauthorized("an Authorization header with a bearer token is needed"))?;
        let token = text.to_str().ok().and_then(token);
        token.ok_or_else(|| {
            unauthorized("the Authorization header must say: Bearer, a space, the key or token")
        })
    }
}

fn token(text: &str) -> Option<Bearer> {
    let (scheme, token) = text.split_once(' ')?;
    let token = token.trim_matches(' ');
    let fits = (1..=MAX_TOKEN_BYTES).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic());
    (scheme.eq_ignore_ascii_case("bearer") && fits).then(|| Bearer(token.into()))
}

fn unauthorized(detail: &str) -> Refusal {
    Refusal::new(Code::Unauthorized, detail)
}

impl<S: Sync> FromRequestParts<S> for Bearer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self::read(&parts.headers)?)
    }
}
