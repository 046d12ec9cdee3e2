//! The routes.

use axum::extract::State;
use axum::http::header::{AUTHORIZATION, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{Answer, ModelEmulator, Request, ScriptedAnswer, answer};

/// Largest request: a message with pictures.
const MAX_REQUEST_BYTES: usize = 32 << 20;

pub fn router(emulator: ModelEmulator) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(complete))
        .route("/v1/models", get(models))
        .route("/_local/requests", get(requests))
        .route("/_local/answers", post(script))
        .layer(axum::extract::DefaultBodyLimit::max(MAX_REQUEST_BYTES))
        .with_state(emulator)
}

async fn complete(
    State(emulator): State<ModelEmulator>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    if body["messages"].as_array().is_none_or(Vec::is_empty) {
        return failure(StatusCode::BAD_REQUEST, "messages must be a list with a message");
    }
    let key = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let key = key.and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned);
    let scripted = emulator.take(Request { key, body: body.clone() });
    sleep(scripted.delay()).await;
    let is_stream = body["stream"] == true;
    match scripted {
        Answer::Text { text, .. } if is_stream => answer::streamed(&body, &text),
        Answer::Text { text, .. } => answer::whole(&body, &text),
        Answer::BrokenStream { text } => answer::broken(&body, &text),
        Answer::Hang => std::future::pending().await,
        Answer::Status { status, retry_after_s, message } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut refused = failure(status, &message);
            if let Some(seconds) = retry_after_s {
                refused.headers_mut().insert(RETRY_AFTER, seconds.into());
            }
            refused
        }
    }
}

fn failure(status: StatusCode, message: &str) -> Response {
    let error = json!({"error": {"message": message, "type": "error", "code": status.as_u16().to_string()}});
    (status, Json(error)).into_response()
}

async fn models() -> Json<Value> {
    Json(json!({"object": "list", "data": [{"id": "emulator", "object": "model", "owned_by": "emulator"}]}))
}

async fn requests(State(emulator): State<ModelEmulator>) -> Json<Value> {
    Json(json!({"requests": emulator.requests()}))
}

async fn script(State(emulator): State<ModelEmulator>, Json(answer): Json<ScriptedAnswer>) -> StatusCode {
    emulator.state().script.add(answer);
    StatusCode::NO_CONTENT
}
