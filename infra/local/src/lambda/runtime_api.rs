//! The Runtime API of Lambda for one process. The process asks for the next event, and posts its answer or its error.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use af_domain::time::Timestamp;
use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

/// The largest event and the largest answer in bytes: the quota of Lambda for synchronous invocations.
pub(super) const MAX_PAYLOAD_BYTES: usize = 6 * 1024 * 1024;
/// The header that announces a streamed answer.
const RESPONSE_MODE: &str = "lambda-runtime-function-response-mode";

/// One event for the process.
pub(super) struct Invocation {
    /// The id of the request.
    pub id: String,
    /// The moment when the process is killed.
    pub deadline: Timestamp,
    /// The ARN of the function.
    pub arn: String,
    /// The event, as JSON.
    pub event: Bytes,
    /// Takes the answer.
    pub answer: oneshot::Sender<Answer>,
}

/// What the process has posted for an event.
pub(super) enum Answer {
    /// The whole answer.
    Whole(Bytes),
    /// The beginning of an answer that the process is still writing.
    Streamed(BoxStream<'static, Result<Bytes, axum::Error>>),
    /// The error that the function returned.
    Failed(String),
}

/// How far the start of a process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// The process has not asked for an event yet.
    Running,
    /// The process has asked for its first event.
    Done,
    /// The process has reported that it cannot start.
    Failed(String),
}

struct Api {
    invocations: tokio::sync::Mutex<mpsc::Receiver<Invocation>>,
    /// The id of the event that the process handles, and where its answer goes.
    pending: Mutex<Option<(String, oneshot::Sender<Answer>)>>,
    start: watch::Sender<Start>,
}

impl Api {
    /// Takes the place for the answer to this event, if the process handles it.
    fn take(&self, id: &str) -> Option<oneshot::Sender<Answer>> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.take_if(|(pending, _)| pending == id).map(|(_, answer)| answer)
    }
}

/// The routes. The process gets the events from `invocations`.
pub(super) fn router(invocations: mpsc::Receiver<Invocation>, start: watch::Sender<Start>) -> Router {
    let invocations = tokio::sync::Mutex::new(invocations);
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(start_error))
        .with_state(Arc::new(Api { invocations, pending: Mutex::new(None), start }))
}

/// Waits for the next event, for as long as it takes.
async fn next(State(api): State<Arc<Api>>) -> Response {
    api.start.send_replace(Start::Done);
    let Some(Invocation { id, deadline, arn, event, answer }) = api.invocations.lock().await.recv().await
    else {
        return StatusCode::GONE.into_response();
    };
    let trace = format!("Root=1-00000000-{:0>24.24};Sampled=0", id.replace('-', ""));
    let headers = [
        ("lambda-runtime-aws-request-id", id.clone()),
        ("lambda-runtime-deadline-ms", deadline.as_millis().to_string()),
        ("lambda-runtime-invoked-function-arn", arn),
        ("lambda-runtime-trace-id", trace),
        ("content-type", "application/json".to_owned()),
    ];
    *api.pending.lock().unwrap_or_else(PoisonError::into_inner) = Some((id, answer));
    (headers, event).into_response()
}

async fn response(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> StatusCode {
    let Some(answer) = api.take(&id) else { return StatusCode::BAD_REQUEST };
    if headers.get(RESPONSE_MODE).is_some_and(|mode| mode == "streaming") {
        let (stream, ended) = until_dropped(body.into_data_stream());
        // The invoker may be gone. Then the stream is dropped here, and the process learns that its answer ends.
        let _ = answer.send(Answer::Streamed(stream));
        let _ = ended.await;
        return StatusCode::ACCEPTED;
    }
    let (status, answered) = match Limited::new(body, MAX_PAYLOAD_BYTES).collect().await {
        Ok(whole) => (StatusCode::ACCEPTED, Answer::Whole(whole.to_bytes())),
        Err(error) => {
            let reason = format!("the answer is broken or larger than {MAX_PAYLOAD_BYTES} bytes: {error}");
            (StatusCode::PAYLOAD_TOO_LARGE, Answer::Failed(reason))
        }
    };
    let _ = answer.send(answered);
    status
}

/// The stream, and a receiver that resolves when the stream is dropped.
fn until_dropped(
    stream: BodyDataStream,
) -> (BoxStream<'static, Result<Bytes, axum::Error>>, oneshot::Receiver<Infallible>) {
    let (open, ended) = oneshot::channel();
    let stream = stream.map(move |chunk| {
        let _ = &open;
        chunk
    });
    (stream.boxed(), ended)
}

async fn error(State(api): State<Arc<Api>>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    let Some(answer) = api.take(&id) else { return StatusCode::BAD_REQUEST };
    let _ = answer.send(Answer::Failed(reported(&body)));
    StatusCode::ACCEPTED
}

async fn start_error(State(api): State<Arc<Api>>, body: Bytes) -> StatusCode {
    api.start.send_replace(Start::Failed(reported(&body)));
    StatusCode::ACCEPTED
}

/// The text of an error in the form of Lambda: `{"errorType", "errorMessage"}`.
fn reported(body: &[u8]) -> String {
    let error: Value = serde_json::from_slice(body).unwrap_or_default();
    match error["errorMessage"].as_str() {
        Some(message) => message.to_owned(),
        None => String::from_utf8_lossy(body).into_owned(),
    }
}
