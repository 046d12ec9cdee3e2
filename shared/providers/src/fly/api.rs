//! One request to the Machines API: its turn, its time limit, its answer of bounded size, its failure in our words.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Method, StatusCode, Url, header::HeaderMap};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::limits::{Action, Limits};
use crate::ProviderError;

/// Time that a request may take, its answer included; creating a machine pulls its image afterwards.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Time that a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Largest answer read: a page of 500 machines with 16 KB of configuration each.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// Requests sent once more after a 429, which has had no effect.
const REPEATS_MAX: usize = 2;
/// Longest pause that a request waits for here; a longer one is the caller's, whose time is limited.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// The pause where Fly names none.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest pause that is believed.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);
/// Longest reason passed on, in characters.
const REASON_LEN_MAX: usize = 300;

/// Where the API token comes from. Asked for each request, so that a rotated token needs no restart.
#[async_trait]
pub trait TokenSource: Send + Sync {
    /// The token; none when nobody has imported one.
    ///
    /// # Errors
    /// `Unavailable` when that cannot be told.
    async fn token(&self) -> Result<Option<SecretString>, ProviderError>;
}

/// One request, below `/apps/{app}`.
pub(super) struct Call<'a> {
    pub action: Action,
    pub method: Method,
    pub app: &'a str,
    /// Path segments after the app.
    pub path: &'a [&'a str],
    pub query: Vec<(&'static str, String)>,
    pub body: Option<serde_json::Value>,
    /// Time that Fly itself takes before it answers.
    pub patience: Duration,
}

impl<'a> Call<'a> {
    pub fn new(action: Action, method: Method, app: &'a str, path: &'a [&'a str]) -> Self {
        Self { action, method, app, path, query: Vec::new(), body: None, patience: Duration::ZERO }
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

/// An answer that was no failure.
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
    token: Arc<dyn TokenSource>,
    limits: Limits,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

impl Api {
    /// # Errors
    /// `Rejected` when the URL is none, or TLS cannot be set up.
    pub fn new(base_url: &str, token: Arc<dyn TokenSource>, limits: Limits) -> Result<Self, ProviderError> {
        let unusable =
            |why: String| ProviderError::Rejected { reason: format!("the URL of Fly's API: {why}") };
        let base = Url::parse(base_url.trim_end_matches('/')).map_err(|e| unusable(e.to_string()))?;
        if base.cannot_be_a_base() || !matches!(base.scheme(), "http" | "https") {
            return Err(unusable("it must begin with https:// or http://".to_owned()));
        }
        let loopback = base.host_str().is_some_and(|h| matches!(h, "localhost" | "127.0.0.1" | "[::1]"));
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            // A followed redirect would carry the token to wherever it points.
            .redirect(reqwest::redirect::Policy::none())
            .referer(false);
        let builder = if loopback { builder.no_proxy() } else { builder };
        let http = builder.build().map_err(|e| ProviderError::unavailable("TLS cannot be set up", e))?;
        Ok(Self { http, base, token, limits })
    }

    pub async fn token(&self) -> Result<SecretString, ProviderError> {
        self.token.token().await?.ok_or(ProviderError::NoToken)
    }

    /// Sends `call` when it is its turn, and once more where Fly says that it came too early.
    ///
    /// # Errors
    /// See [`ProviderError`]. `Unavailable` leaves open whether the call took effect.
    pub async fn send(&self, call: &Call<'_>) -> Result<Answer, ProviderError> {
        let token = self.token().await?;
        let mut repeats = 0;
        loop {
            let turn = self.limits.turn(call.action, call.app).await;
            turn.map_err(|retry_after| ProviderError::RateLimited { retry_after })?;
            match self.send_once(call, &token).await {
                Err(ProviderError::RateLimited { retry_after }) => {
                    self.limits.hold_back(call.action, call.app, retry_after);
                    if repeats == REPEATS_MAX || retry_after > PAUSE_MAX {
                        return Err(ProviderError::RateLimited { retry_after });
                    }
                    tracing::warn!(action = ?call.action, app = call.app, "fly counted more requests than we");
                    repeats += 1;
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
            .timeout(REQUEST_TIMEOUT + call.patience)
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
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                let reason = format!("Fly's answer is larger than {ANSWER_BYTES_MAX} bytes");
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
struct Refusal {
    #[serde(default)]
    error: String,
    /// A code beside the words, where there is one: `insufficient_capacity`.
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
    let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
    let words = match refusal.error.as_str() {
        "" => status.canonical_reason().unwrap_or("no reason given"),
        words => words,
    };
    // Fly does not repeat the token. Should that change, our logs shall not tell.
    let reason: String = words.replace(token.trim(), "…").chars().take(REASON_LEN_MAX).collect();
    let lacks_capacity = refusal.status.as_ref().and_then(|s| s.as_str()) == Some("insufficient_capacity");
    match status.as_u16() {
        401 | 403 => ProviderError::Auth { reason },
        404 => ProviderError::NotFound { what: format!("{}: {reason}", call.path.join("/")) },
        429 => ProviderError::RateLimited { retry_after: retry_after(headers) },
        408 | 409 | 412 | 423 => ProviderError::Precondition { reason },
        // Some refusals of a state come as 400 or 422; their words say what they are.
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
    seconds.map_or(PAUSE, Duration::from_secs).min(RETRY_AFTER_MAX)
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
    fn failures_are_told_apart_by_what_a_caller_can_do() {
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
    fn a_reason_is_short_and_never_holds_the_token() {
        let body = serde_json::json!({"error": format!("bad token fm2_secret {}", "x".repeat(1_000))});
        let shown = failed(400, &body.to_string()).to_string();
        assert!(shown.contains("bad token …") && !shown.contains("fm2_secret"), "{shown}");
        assert!(shown.chars().count() < REASON_LEN_MAX + 20);
    }

    #[test]
    fn a_pause_is_what_fly_names_or_a_second() {
        let mut headers = HeaderMap::new();
        assert_eq!(retry_after(&headers), PAUSE);
        headers.insert("retry-after", "7".parse().unwrap());
        assert_eq!(retry_after(&headers), Duration::from_secs(7));
        headers.insert("retry-after", u64::MAX.into());
        assert_eq!(retry_after(&headers), RETRY_AFTER_MAX);
    }
}
