//! One request to the Machines API: it waits for its turn, has a time limit, reads an answer of bounded size, and maps a
//! failure to [`ProviderError`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use af_domain::ids::SecretRef;
use reqwest::{Method, StatusCode, Url, header::HeaderMap};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::limits::{Action, Limits};
use crate::error::ProviderError;
use crate::ports::TokenSource;

/// The secret with the token of the Machines API.
pub const FLY_TOKEN_REF: &str = "fly.apiToken";
/// The time limit of a request with its answer. Fly pulls the image of a new machine after its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// The time limit for opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The largest answer: a page of 500 machines with 16 KB of configuration each.
const MAX_ANSWER_BYTES: usize = 8 << 20;
/// The most retries of a request after a 429. A request that Fly answers with 429 has had no effect.
const MAX_RETRIES: usize = 2;
/// The longest pause that a request waits for. A longer pause is left to the caller, which has its own time limit.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// The pause after a 429 that names none.
const DEFAULT_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause that a 429 may ask for. A longer one is cut to this.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);
/// The longest reason of a failure, in characters.
const MAX_REASON_LEN: usize = 300;

/// One request, below `/apps/{app}`.
pub(super) struct Call<'a> {
    pub action: Action,
    pub method: Method,
    pub app: &'a str,
    /// Path segments after the app.
    pub path: &'a [&'a str],
    pub query: Vec<(&'static str, String)>,
    pub body: Option<serde_json::Value>,
    /// How long Fly may wait before it answers, beside the usual time limit.
    pub extra_time: Duration,
}

impl<'a> Call<'a> {
    pub fn new(action: Action, method: Method, app: &'a str, path: &'a [&'a str]) -> Self {
        Self { action, method, app, path, query: Vec::new(), body: None, extra_time: Duration::ZERO }
    }

    pub fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    pub fn json(mut self, body: &impl Serialize) -> Result<Self, ProviderError> {
        let body = serde_json::to_value(body);
        self.body = Some(body.map_err(|e| ProviderError::unavailable("the request cannot be written", e))?);
        Ok(self)
    }
}

/// The answer to a request that succeeded.
pub(super) struct Answer {
    pub headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ProviderError> {
        serde_json::from_slice(&self.body)
            .map_err(|e| ProviderError::unavailable("Fly's answer cannot be read", e))
    }
}

/// The API at one base URL.
pub(super) struct Api {
    http: reqwest::Client,
    base: Url,
    tokens: Arc<dyn TokenSource>,
    limits: Limits,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

impl Api {
    /// # Errors
    /// `Rejected` when the URL is not one, `Unavailable` when TLS cannot be set up.
    pub fn new(base_url: &str, tokens: Arc<dyn TokenSource>, limits: Limits) -> Result<Self, ProviderError> {
        let unusable =
            |why: String| ProviderError::Rejected { reason: format!("the URL of Fly's API: {why}") };
        let base = Url::parse(base_url.trim_end_matches('/')).map_err(|e| unusable(e.to_string()))?;
        if base.cannot_be_a_base() || !matches!(base.scheme(), "http" | "https") {
            return Err(unusable("it must begin with https:// or http://".to_owned()));
        }
        let loopback = base.host_str().is_some_and(|h| matches!(h, "localhost" | "127.0.0.1" | "[::1]"));
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            // A redirect would carry the token to another server.
            .redirect(reqwest::redirect::Policy::none())
            .referer(false);
        let builder = if loopback { builder.no_proxy() } else { builder };
        let http = builder.build().map_err(|e| ProviderError::unavailable("TLS cannot be set up", e))?;
        Ok(Self { http, base, tokens, limits })
    }

    pub async fn token(&self) -> Result<SecretString, ProviderError> {
        let secret = SecretRef::parse(FLY_TOKEN_REF)
            .map_err(|e| ProviderError::unavailable("the name of Fly's token is not valid", e))?;
        let missing = ProviderError::NoToken { provider: "Fly", secret: FLY_TOKEN_REF };
        self.tokens.token(&secret).await?.ok_or(missing)
    }

    /// Sends `call` when its turn comes, and retries it after a 429. After `Unavailable` the call may have taken
    /// effect.
    pub async fn send(&self, call: &Call<'_>) -> Result<Answer, ProviderError> {
        let token = self.token().await?;
        let mut retries = 0;
        loop {
            let turn = self.limits.turn(call.action, call.app).await;
            turn.map_err(|retry_after| ProviderError::RateLimited { retry_after })?;
            match self.send_once(call, &token).await {
                Err(ProviderError::RateLimited { retry_after }) => {
                    self.limits.hold_back(call.action, call.app, retry_after);
                    if retries == MAX_RETRIES || retry_after > MAX_PAUSE {
                        return Err(ProviderError::RateLimited { retry_after });
                    }
                    tracing::warn!(action = ?call.action, app = call.app, "Fly answered 429 although our rate limits were kept");
                    retries += 1;
                }
                answer => return answer,
            }
        }
    }

    async fn send_once(&self, call: &Call<'_>, token: &SecretString) -> Result<Answer, ProviderError> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["apps", call.app]).extend(call.path);
        }
        let mut request = self
            .http
            .request(call.method.clone(), url)
            .timeout(REQUEST_TIMEOUT + call.extra_time)
            .bearer_auth(token.expose_secret().trim());
        if !call.query.is_empty() {
            request = request.query(&call.query);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let unreachable =
            |e: reqwest::Error| ProviderError::unavailable("Fly's API cannot be reached", e.without_url());
        let mut response = request.send().await.map_err(unreachable)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                let reason = format!("Fly's answer is larger than {MAX_ANSWER_BYTES} bytes");
                return Err(ProviderError::Unavailable { reason, source: None });
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return Ok(Answer { headers, body });
        }
        Err(failure(status, &headers, &body, call, token.expose_secret()))
    }
}

#[derive(Default, Deserialize)]
struct FailureBody {
    #[serde(default)]
    error: String,
    /// A code beside the text, for example `insufficient_capacity`.
    #[serde(default)]
    status: Option<serde_json::Value>,
}

fn failure(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    call: &Call<'_>,
    token: &str,
) -> ProviderError {
    let failure: FailureBody = serde_json::from_slice(body).unwrap_or_default();
    let text = match failure.error.as_str() {
        "" => status.canonical_reason().unwrap_or("no reason given"),
        text => text,
    };
    // Fly does not repeat the token today. If it does one day, the token must not get into our logs.
    let reason: String = text.replace(token.trim(), "…").chars().take(MAX_REASON_LEN).collect();
    let lacks_capacity = failure.status.as_ref().and_then(|s| s.as_str()) == Some("insufficient_capacity");
    match status.as_u16() {
        401 | 403 => ProviderError::Auth { reason },
        404 => ProviderError::NotFound { what: format!("{}: {reason}", call.path.join("/")) },
        429 => ProviderError::RateLimited { retry_after: retry_after(headers) },
        408 | 409 | 412 | 423 => ProviderError::Precondition { reason },
        // Fly answers 400 or 422 for some states; only the text tells them from other failures.
        400..=499
            if lacks_capacity
                || ["failed_precondition", "already_exists"].iter().any(|w| reason.starts_with(w)) =>
        {
            ProviderError::Precondition { reason }
        }
        400..=499 => ProviderError::Rejected { reason },
        code => ProviderError::Unavailable { reason: format!("HTTP {code}: {reason}"), source: None },
    }
}

fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get("retry-after").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    seconds.map_or(DEFAULT_PAUSE, Duration::from_secs).min(MAX_RETRY_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(status: u16, body: &str) -> ProviderError {
        let call = Call::new(Action::GetMachine, Method::GET, "app", &["machines", "m1"]);
        let status = StatusCode::from_u16(status).unwrap();
        failure(status, &HeaderMap::new(), body.as_bytes(), &call, "fm2_secret")
    }

    #[test]
    fn a_failure_becomes_the_variant_that_says_what_the_caller_can_do() {
        assert!(matches!(failed(401, ""), ProviderError::Auth { .. }));
        assert!(failed(404, r#"{"error": "machine not found"}"#).is_not_found());
        assert!(matches!(failed(412, ""), ProviderError::Precondition { .. }));
        let bound = r#"{"error": "failed_precondition: volume is currently bound to machine: m1"}"#;
        assert!(matches!(failed(400, bound), ProviderError::Precondition { .. }));
        let full = r#"{"error": "no room in fra", "status": "insufficient_capacity"}"#;
        assert!(matches!(failed(422, full), ProviderError::Precondition { .. }));
        assert!(matches!(failed(422, r#"{"error": "invalid image"}"#), ProviderError::Rejected { .. }));
        assert!(matches!(failed(503, "<html>"), ProviderError::Unavailable { .. }));
        assert!(matches!(failed(302, ""), ProviderError::Unavailable { .. }));
    }

    #[test]
    fn a_reason_is_cut_and_the_token_is_redacted() {
        let body = serde_json::json!({"error": format!("bad token fm2_secret {}", "x".repeat(1_000))});
        let shown = failed(400, &body.to_string()).to_string();
        assert!(shown.contains("bad token …") && !shown.contains("fm2_secret"), "{shown}");
        assert!(shown.chars().count() < MAX_REASON_LEN + 20);
    }

    #[test]
    fn the_pause_is_retry_after_within_its_limit_or_a_second() {
        let mut headers = HeaderMap::new();
        assert_eq!(retry_after(&headers), DEFAULT_PAUSE);
        headers.insert("retry-after", "7".parse().unwrap());
        assert_eq!(retry_after(&headers), Duration::from_secs(7));
        headers.insert("retry-after", u64::MAX.into());
        assert_eq!(retry_after(&headers), MAX_RETRY_AFTER);
    }
}
