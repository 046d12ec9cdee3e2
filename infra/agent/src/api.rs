//! The worker routes, one call a function, each sent once: whoever calls decides about trying again.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::{RequestBuilder, Response, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use tokio::time::Instant;

use crate::http::{self, retry_after};
use crate::skills::ManifestAnswer;
use crate::wire::{
    CompleteRequest, FailRequest, HeartbeatAnswer, HeartbeatRequest, Job, Latest, PollAnswer, PollRequest,
    PrepareRequest, Prepared, Problem,
};

/// Time one call may take: API Gateway gives up after 30 s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer read: Lambda answers at most 6 MB.
const ANSWER_BYTES_MAX: usize = 6 << 20;

/// Why a call brought no answer to work with.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The server does not accept our token. It never will again.
    #[error("the server denies us (HTTP {status})")]
    Denied { status: u16 },
    /// The lease is not ours any more.
    #[error("the lease is not ours any more")]
    StaleLease,
    /// The server refuses this very request.
    #[error("the server refused the request (HTTP {status}, {code})")]
    Refused { status: u16, code: String },
    /// The server is busy or failed: the call may or may not have taken effect.
    #[error("the server is busy (HTTP {status})")]
    Busy { status: u16, retry_after: Option<Duration> },
    /// No answer, or half of one: the call may or may not have taken effect.
    #[error("no answer from the server")]
    Unreachable(#[source] reqwest::Error),
    /// An answer that makes no sense: the call may or may not have taken effect.
    #[error("the server's answer cannot be read")]
    Unreadable(#[source] Option<serde_json::Error>),
}

impl ApiError {
    /// How long to wait before the same call may succeed: the server's word, else `otherwise`; none when it
    /// will not succeed.
    pub fn retry_in(&self, otherwise: Duration) -> Option<Duration> {
        match self {
            Self::Denied { .. } | Self::StaleLease | Self::Refused { .. } => None,
            Self::Busy { retry_after, .. } => Some(retry_after.unwrap_or(otherwise)),
            Self::Unreachable(_) | Self::Unreadable(_) => Some(otherwise),
        }
    }
}

/// The client.
pub struct Api {
    http: reqwest::Client,
    base: String,
    token: SecretString,
    answered_at: Mutex<Instant>,
}

impl Api {
    pub fn new(base: &str, token: SecretString) -> Result<Self, reqwest::Error> {
        let answered_at = Mutex::new(Instant::now());
        let http = http::client(base, Some(REQUEST_TIMEOUT))?;
        Ok(Self { http, base: base.to_owned(), token, answered_at })
    }

    /// How long ago the server last answered anything at all (or this client was made).
    pub fn silent_for(&self) -> Duration {
        self.answered_at.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    pub async fn poll(&self, request: &PollRequest<'_>) -> Result<PollAnswer, ApiError> {
        self.post("v1/worker/poll", request).await
    }

    /// Our control state, which the next poll tells as well. To ask for it is a sign of life.
    pub async fn control(&self, conversation_id: Option<&str>) -> Result<(), ApiError> {
        let request = self.http.get(format!("{}/v1/worker/control", self.base));
        let request = request.query(&conversation_id.map(|id| [("conversationId", id)]));
        read::<IgnoredAny>(self.send(request).await?).await.map(drop)
    }

    pub async fn heartbeat(&self, job: &Job, progress: Option<String>) -> Result<HeartbeatAnswer, ApiError> {
        let request = HeartbeatRequest { lease_id: &job.lease_id, fence: job.fence, progress };
        self.post(&route(job, "heartbeat"), &request).await
    }

    pub async fn complete(&self, job: &Job, request: &CompleteRequest<'_>) -> Result<(), ApiError> {
        self.post::<IgnoredAny>(&route(job, "complete"), request).await.map(drop)
    }

    pub async fn fail(&self, job: &Job, request: &FailRequest<'_>) -> Result<(), ApiError> {
        self.post::<IgnoredAny>(&route(job, "fail"), request).await.map(drop)
    }

    pub async fn prepare_snapshot(&self, request: &PrepareRequest<'_>) -> Result<Prepared, ApiError> {
        self.post("v1/worker/snapshots", request).await
    }

    pub async fn finalize_snapshot(&self, id: &str) -> Result<(), ApiError> {
        let route = format!("v1/worker/snapshots/{id}/finalize");
        self.post::<IgnoredAny>(&route, &serde_json::json!({})).await.map(drop)
    }

    pub async fn fail_snapshot(&self, id: &str, error: &str) -> Result<(), ApiError> {
        let route = format!("v1/worker/snapshots/{id}/fail");
        self.post::<IgnoredAny>(&route, &serde_json::json!({"error": error})).await.map(drop)
    }

    /// The conversation's latest good snapshot, if it has one.
    pub async fn latest_snapshot(&self, conversation_id: &str) -> Result<Option<Latest>, ApiError> {
        let url = format!("{}/v1/worker/snapshots/latest", self.base);
        let request = self.http.get(url).query(&[("conversationId", conversation_id)]);
        let response = self.send(request).await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        read(response).await.map(Some)
    }

    /// The skills of a channel and their entity tag; `None` when they are still those of the tag `known`.
    pub async fn skills(
        &self,
        channel: &str,
        known: Option<&str>,
    ) -> Result<Option<(Option<String>, ManifestAnswer)>, ApiError> {
        let url = format!("{}/v1/worker/skills?releaseChannel={channel}", self.base);
        let mut request = self.http.get(url);
        if let Some(known) = known {
            request = request.header(header::IF_NONE_MATCH, known);
        }
        let response = self.send(request).await?;
        if response.status() == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        let tag = response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        Ok(Some((tag, read(response).await?)))
    }

    async fn post<T: DeserializeOwned>(&self, route: &str, body: &impl Serialize) -> Result<T, ApiError> {
        read(self.send(self.http.post(format!("{}/{route}", self.base)).json(body)).await?).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, ApiError> {
        let request = request.bearer_auth(self.token.expose_secret());
        let response = request.send().await.map_err(unreachable)?;
        *self.answered_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        Ok(response)
    }
}

async fn read<T: DeserializeOwned>(response: Response) -> Result<T, ApiError> {
    let (status, retry_after) = (response.status(), retry_after(&response));
    let bytes = read_bounded(response).await?;
    if status.is_success() {
        return serde_json::from_slice(&bytes).map_err(|error| ApiError::Unreadable(Some(error)));
    }
    let code = serde_json::from_slice::<Problem>(&bytes).unwrap_or_default().code;
    Err(refusal(status, code, retry_after))
}

fn refusal(status: StatusCode, code: String, retry_after: Option<Duration>) -> ApiError {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ApiError::Denied { status: status.as_u16() },
        StatusCode::CONFLICT if code == "stale_lease" => ApiError::StaleLease,
        StatusCode::TOO_MANY_REQUESTS => ApiError::Busy { status: status.as_u16(), retry_after },
        status if status.is_server_error() => ApiError::Busy { status: status.as_u16(), retry_after },
        status => ApiError::Refused { status: status.as_u16(), code },
    }
}

/// Message ids are made of characters that mean nothing in a path.
fn route(job: &Job, call: &str) -> String {
    format!("v1/worker/messages/{}/{call}", job.message_id)
}

fn unreachable(error: reqwest::Error) -> ApiError {
    ApiError::Unreachable(error.without_url())
}

async fn read_bounded(mut response: Response) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(ApiError::Unreadable(None));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
