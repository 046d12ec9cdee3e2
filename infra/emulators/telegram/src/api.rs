//! `/bot<token>/<method>`: finds the bot, lets ordered failures happen, calls the method, wraps its answer.

use std::sync::PoisonError;

use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::params::Params;
use super::{StandIn, StandInError, files, hooks, sending, updates};

/// Largest request taken: Telegram lets bots upload 50 MB.
const BODY_BYTES_MAX: usize = 50 << 20;

/// A refusal in the Bot API's form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiError {
    pub code: u16,
    pub description: String,
    pub retry_after: Option<u64>,
    pub migrate_to_chat_id: Option<i64>,
}

impl ApiError {
    /// A refusal with this code and these words.
    pub fn new(code: u16, description: impl Into<String>) -> Self {
        Self { code, description: description.into(), retry_after: None, migrate_to_chat_id: None }
    }

    /// 400, with Telegram's prefix.
    pub fn bad_request(words: impl std::fmt::Display) -> Self {
        Self::new(400, format!("Bad Request: {words}"))
    }
}

impl From<StandInError> for ApiError {
    /// What was not written down did not happen; the caller may try again.
    fn from(error: StandInError) -> Self {
        tracing::error!(%error, "the Telegram stand-in could not write down what happened");
        Self::new(500, "Internal Server Error")
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = json!({"ok": false, "error_code": self.code, "description": self.description});
        if let Some(seconds) = self.retry_after {
            body["parameters"]["retry_after"] = seconds.into();
        }
        if let Some(chat) = self.migrate_to_chat_id {
            body["parameters"]["migrate_to_chat_id"] = chat.into();
        }
        let status = StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(body)).into_response()
    }
}

/// A method's result, and the words that go with it where Telegram adds some.
pub(super) struct Success {
    pub result: Value,
    pub description: Option<&'static str>,
}

impl From<Value> for Success {
    fn from(result: Value) -> Self {
        Self { result, description: None }
    }
}

impl IntoResponse for Success {
    fn into_response(self) -> Response {
        let mut body = json!({"ok": true, "result": self.result});
        if let Some(words) = self.description {
            body["description"] = words.into();
        }
        Json(body).into_response()
    }
}

pub(super) fn router(stand_in: StandIn) -> Router {
    Router::new()
        .route("/bot{token}/{method}", any(call))
        .route("/file/bot{token}/{*path}", get(files::download))
        .fallback(|| async { ApiError::new(404, "Not Found") })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(stand_in)
}

async fn call(
    State(stand_in): State<StandIn>,
    Path((token, method)): Path<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    let bot = stand_in.authenticate(&token)?;
    let params = Params::read(request).await?;
    // Method names are case-insensitive.
    let method = method.to_ascii_lowercase();
    let fault = stand_in.inner.faults.lock().unwrap_or_else(PoisonError::into_inner).take(&method);
    match fault {
        Some(fault) if fault.applied => {
            dispatch(&stand_in, bot, &method, &params).await?;
            Err(fault.into_error())
        }
        Some(fault) => Err(fault.into_error()),
        None => dispatch(&stand_in, bot, &method, &params).await.map(IntoResponse::into_response),
    }
}

async fn dispatch(stand_in: &StandIn, bot: i64, method: &str, params: &Params) -> Result<Success, ApiError> {
    let inner = &stand_in.inner;
    match method {
        "getme" => Ok(get_me(stand_in, bot)),
        "setwebhook" => hooks::set(inner, bot, params),
        "deletewebhook" => hooks::delete(inner, bot, params),
        "getwebhookinfo" => Ok(hooks::info(inner, bot)),
        "sendmessage" => sending::message(inner, bot, params),
        "sendaudio" => sending::file(inner, bot, params, sending::AUDIO),
        "senddocument" => sending::file(inner, bot, params, sending::DOCUMENT),
        "sendchataction" => sending::chat_action(inner, bot, params),
        "getfile" => files::get(inner, bot, params),
        "getupdates" => updates::get(inner, bot, params).await,
        _ => Err(ApiError::new(404, "Not Found: method not found")),
    }
}

impl StandIn {
    /// The bot whose token this is.
    pub(super) fn authenticate(&self, token: &str) -> Result<i64, ApiError> {
        if super::token_id(token).is_none() {
            return Err(ApiError::new(404, "Not Found"));
        }
        self.inner.lock().state.bot_by_token(token).ok_or_else(|| ApiError::new(401, "Unauthorized"))
    }
}

fn get_me(stand_in: &StandIn, bot: i64) -> Success {
    let mut user = stand_in.inner.user(bot);
    user["can_join_groups"] = true.into();
    user["can_read_all_group_messages"] = false.into();
    user["supports_inline_queries"] = false.into();
    user.into()
}
