//! The worker routes, one function for each call. A function sends its call once; the caller decides about retries.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use af_api::documents::DocumentBody;
use af_api::problem::ProblemBody;
use af_api::worker::documents::{RunEditsAnswer, RunEditsRequest};
use af_api::worker::outcome::{CompleteRequest, FailRequest, HeartbeatAnswer, HeartbeatRequest};
use af_api::worker::poll::{Job, PollAnswer, PollRequest};
use af_api::worker::skills::Manifest;
use af_api::worker::snapshots::{
    FailSnapshotRequest, LatestSnapshot, LatestSnapshotQuery, PrepareSnapshotRequest, PreparedSnapshot,
};
use reqwest::{RequestBuilder, Response, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use tokio::time::Instant;

use crate::http::{self, retry_after};
use crate::hydration::ReceivedBundle;

/// Time limit of one call: API Gateway gives up after 30 s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer that is read: Lambda answers at most 6 MB.
const MAX_ANSWER_BYTES: usize = 6 << 20;

/// Why a call has no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The server does not accept the worker's token, and will not accept it later.
    #[error("the server denies this worker (HTTP {status})")]
    Denied { status: u16 },
    /// The worker no longer holds the lease.
    #[error("this worker no longer holds the lease")]
    StaleLease,
    /// The server refuses this request.
    #[error("the server refused the request (HTTP {status}, {code})")]
    Refused { status: u16, code: String },
    /// The server is busy or has failed. The call may or may not have taken effect.
    #[error("the server is busy (HTTP {status})")]
    Busy { status: u16, retry_after: Option<Duration> },
    /// There was no answer, or only a part of one. The call may or may not have taken effect.
    #[error("no answer from the server")]
    Unreachable(#[source] reqwest::Error),
    /// The answer has an unknown form. The call may or may not have taken effect.
    #[error("the server's answer cannot be read")]
    Unreadable(#[source] Option<serde_json::Error>),
}

impl ApiError {
    /// How long to wait before the same call may succeed: the time that the server named, else `otherwise`. `None` when
    /// the same call cannot succeed.
    pub fn retry_in(&self, otherwise: Duration) -> Option<Duration> {
        match self {
            Self::Denied { .. } | Self::StaleLease | Self::Refused { .. } => None,
            Self::Busy { retry_after, .. } => Some(retry_after.unwrap_or(otherwise)),
            Self::Unreachable(_) | Self::Unreadable(_) => Some(otherwise),
        }
    }
}

/// The answer to a poll.
pub struct Polled {
    /// The answer without its bundle.
    pub answer: PollAnswer,
    /// The bundle, as the server sent it.
    pub bundle: Option<ReceivedBundle>,
}

/// A manifest of skills.
pub struct FetchedManifest {
    /// The entity tag, which the next call sends to ask for changes.
    pub etag: Option<String>,
    /// The manifest.
    pub manifest: Manifest,
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

    /// The time since the last answer of any kind, or since this client was made.
    pub fn silent_for(&self) -> Duration {
        self.answered_at.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    pub async fn poll(&self, request: &PollRequest) -> Result<Polled, ApiError> {
        let unreadable = |error| ApiError::Unreadable(Some(error));
        let mut answer: Value = self.post("v1/worker/poll", request).await?;
        let bundle = answer.get_mut("bundle").map(Value::take).unwrap_or_default();
        let bundle = serde_json::from_value(bundle).map_err(unreadable)?;
        Ok(Polled { answer: serde_json::from_value(answer).map_err(unreadable)?, bundle })
    }

    /// Asks for the control state as a sign of life. The next poll answers the same state, so this answer is ignored.
    pub async fn control(&self, conversation_id: Option<&str>) -> Result<(), ApiError> {
        let request = self.http.get(format!("{}/v1/worker/control", self.base));
        let request = request.query(&conversation_id.map(|id| [("conversationId", id)]));
        read::<IgnoredAny>(self.send(request).await?).await.map(drop)
    }

    pub async fn heartbeat(&self, job: &Job, progress: Option<String>) -> Result<HeartbeatAnswer, ApiError> {
        let request = HeartbeatRequest { lease_id: job.lease_id.clone(), fence: job.fence, progress };
        self.post(&route(job, "heartbeat"), &request).await
    }

    pub async fn complete(&self, job: &Job, request: &CompleteRequest) -> Result<(), ApiError> {
        self.post::<IgnoredAny>(&route(job, "complete"), request).await.map(drop)
    }

    pub async fn fail(&self, job: &Job, request: &FailRequest) -> Result<(), ApiError> {
        self.post::<IgnoredAny>(&route(job, "fail"), request).await.map(drop)
    }

    /// Loads a document of the workspace of a running message.
    pub async fn document(&self, job: &Job, path: &str) -> Result<DocumentBody, ApiError> {
        let request = self.http.get(format!("{}/v1/worker/documents", self.base));
        let request = request.query(&[("messageId", job.message_id.as_str()), ("path", path)]);
        read(self.send(request).await?).await
    }

    /// Sends the documents that the agent has edited.
    pub async fn put_documents(&self, request: &RunEditsRequest) -> Result<RunEditsAnswer, ApiError> {
        let call = self.http.put(format!("{}/v1/worker/documents", self.base)).json(request);
        read(self.send(call).await?).await
    }

    pub async fn prepare_snapshot(
        &self,
        request: &PrepareSnapshotRequest,
    ) -> Result<PreparedSnapshot, ApiError> {
        self.post("v1/worker/snapshots", request).await
    }

    pub async fn finalize_snapshot(&self, id: &str) -> Result<(), ApiError> {
        let route = format!("v1/worker/snapshots/{id}/finalize");
        self.post::<IgnoredAny>(&route, &serde_json::json!({})).await.map(drop)
    }

    pub async fn fail_snapshot(&self, id: &str, error: String) -> Result<(), ApiError> {
        let route = format!("v1/worker/snapshots/{id}/fail");
        self.post::<IgnoredAny>(&route, &FailSnapshotRequest { error }).await.map(drop)
    }

    /// Reports that a snapshot cannot be restored. The one before becomes the latest.
    pub async fn skip_snapshot(&self, id: &str, error: String) -> Result<(), ApiError> {
        let route = format!("v1/worker/snapshots/{id}/skip");
        self.post::<IgnoredAny>(&route, &FailSnapshotRequest { error }).await.map(drop)
    }

    /// The conversation's latest ready snapshot, if it has one.
    pub async fn latest_snapshot(&self, conversation_id: &str) -> Result<Option<LatestSnapshot>, ApiError> {
        let url = format!("{}/v1/worker/snapshots/latest", self.base);
        let query = LatestSnapshotQuery { conversation_id: conversation_id.to_owned() };
        let response = self.send(self.http.get(url).query(&query)).await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        read(response).await.map(Some)
    }

    /// The skills of a channel; `None` when they have not changed since the entity tag `known`.
    pub async fn skills(
        &self,
        channel: &str,
        known: Option<&str>,
    ) -> Result<Option<FetchedManifest>, ApiError> {
        let url = format!("{}/v1/worker/skills?releaseChannel={channel}", self.base);
        let mut request = self.http.get(url);
        if let Some(known) = known {
            request = request.header(header::IF_NONE_MATCH, known);
        }
        let response = self.send(request).await?;
        if response.status() == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        let etag = response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        Ok(Some(FetchedManifest { etag, manifest: read(response).await? }))
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
    let bytes = http::read_whole(response, MAX_ANSWER_BYTES).await.map_err(unreachable)?;
    let bytes = bytes.ok_or(ApiError::Unreadable(None))?;
    if status.is_success() {
        return serde_json::from_slice(&bytes).map_err(|error| ApiError::Unreadable(Some(error)));
    }
    // API Gateway answers bodies of its own, which are not problems and have no code.
    let code = serde_json::from_slice::<ProblemBody>(&bytes).map(|problem| problem.code).unwrap_or_default();
    Err(refusal(status, code, retry_after))
}

fn refusal(status: StatusCode, code: String, retry_after: Option<Duration>) -> ApiError {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ApiError::Denied { status: status.as_u16() },
        StatusCode::CONFLICT if code == "stale_lease" => ApiError::StaleLease,
        StatusCode::CONFLICT if code == "message_running" => {
            ApiError::Busy { status: status.as_u16(), retry_after }
        }
        StatusCode::TOO_MANY_REQUESTS => ApiError::Busy { status: status.as_u16(), retry_after },
        status if status.is_server_error() => ApiError::Busy { status: status.as_u16(), retry_after },
        status => ApiError::Refused { status: status.as_u16(), code },
    }
}

/// The route of a call about a message. Message ids have no characters with a meaning in a path.
fn route(job: &Job, call: &str) -> String {
    format!("v1/worker/messages/{}/{call}", job.message_id)
}

fn unreachable(error: reqwest::Error) -> ApiError {
    ApiError::Unreachable(error.without_url())
}
