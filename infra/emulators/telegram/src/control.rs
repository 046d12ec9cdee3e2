//! Control routes of the emulator, on loopback only: they send messages of users, list what bots sent and queue faults.

use axum::body::Bytes;
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::ApiError;
use super::arrival::{Arrival, Pushed, SentFile};
use super::managed::{Created, Tap};
use super::params::as_integer;
use super::{EmulatedBot, Fault, StoredFile, TelegramEmulator, TelegramEmulatorError};

/// Entries of a list at most, and entries of a list whose request names no `limit`.
const MAX_LIST: usize = 1_000;
const LIST_DEFAULT: usize = 100;
/// The largest file of a user. It is larger than a bot can download, so that tests can exceed that limit.
const MAX_FILE_BYTES: usize = 50 << 20;

pub(super) fn router(telegram: TelegramEmulator) -> Router {
    Router::new()
        .route("/telegram/messages", post(messages))
        .route("/telegram/outbox", get(outbox))
        .route("/telegram/updates", get(updates))
        .route("/telegram/actions", get(actions))
        .route("/telegram/drafts", get(drafts))
        .route("/telegram/stops", post(stops))
        .route("/telegram/bots", post(bots))
        .route("/telegram/managed-bots", post(managed_bots))
        .route("/telegram/files", post(files).layer(DefaultBodyLimit::max(MAX_FILE_BYTES)))
        .route("/telegram/faults", post(faults))
        .with_state(telegram)
}

/// The refusal of a control call.
#[derive(Debug)]
struct Refused(StatusCode, String);

impl Refused {
    fn invalid(detail: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, detail.into())
    }
}

impl From<TelegramEmulatorError> for Refused {
    fn from(error: TelegramEmulatorError) -> Self {
        let status = match error {
            TelegramEmulatorError::UnknownBot(_) | TelegramEmulatorError::NoStopButton { .. } => {
                StatusCode::NOT_FOUND
            }
            TelegramEmulatorError::NotAToken => StatusCode::BAD_REQUEST,
            TelegramEmulatorError::NoBotCreated(_) => StatusCode::CONFLICT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, error.to_string())
    }
}

impl From<JsonRejection> for Refused {
    fn from(rejection: JsonRejection) -> Self {
        Self(rejection.status(), rejection.body_text())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let title = self.0.canonical_reason().unwrap_or_default();
        let problem = json!({"title": title, "status": self.0.as_u16(), "detail": self.1});
        (self.0, [(header::CONTENT_TYPE, "application/problem+json")], problem.to_string()).into_response()
    }
}

/// A parsed body, or the reason for its refusal.
type Body<T> = Result<Json<T>, JsonRejection>;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MessageBody {
    bot_identity: Value,
    #[serde(default)]
    chat_id: Value,
    #[serde(default)]
    user_id: Value,
    text: Option<String>,
    #[serde(default)]
    update_id: Value,
    username: Option<String>,
    chat_type: Option<String>,
    file: Option<SentFile>,
    raw: Option<Value>,
}

impl MessageBody {
    /// Ids are accepted as numbers and as text. Without `userId`, the user is the one of the private chat.
    fn arrival(self) -> Result<Arrival, Refused> {
        let bot = id("botIdentity", &self.bot_identity)?
            .ok_or_else(|| Refused::invalid("botIdentity is missing"))?;
        let chat = id("chatId", &self.chat_id)?;
        let user_id = id("userId", &self.user_id)?;
        let update_id = id("updateId", &self.update_id)?;
        let update_id = update_id.map(u64::try_from).transpose();
        let update_id = update_id.map_err(|_| Refused::invalid("updateId must not be negative"))?;
        let (chat_id, user_id) = match &self.raw {
            Some(raw) if !raw.is_object() => {
                return Err(Refused::invalid("raw must be an update, an object"));
            }
            Some(raw) => {
                // This is used only for the order within a chat. Updates without a chat have their own order.
                let named = ["message", "edited_message", "stopped_message_generation"]
                    .iter()
                    .find_map(|kind| raw[kind]["chat"]["id"].as_i64())
                    .or_else(|| raw["managed_bot"]["user"]["id"].as_i64());
                (chat.or(named).unwrap_or_default(), user_id.unwrap_or_default())
            }
            None => {
                let chat = chat.ok_or_else(|| Refused::invalid("chatId is missing"))?;
                let user = user_id.or(Some(chat).filter(|chat| *chat > 0));
                (chat, user.ok_or_else(|| Refused::invalid("userId is missing"))?)
            }
        };
        let needs_no_text = self.raw.is_some() || self.file.is_some();
        let text = match self.text {
            Some(text) if !text.trim().is_empty() => text,
            _ if needs_no_text => String::new(),
            _ => return Err(Refused::invalid("text is missing or empty")),
        };
        let Self { username, chat_type, file, raw, .. } = self;
        Ok(Arrival { bot, chat_id, user_id, text, username, chat_type, update_id, file, raw })
    }
}

/// A whole number, as itself or as text; `None` when absent.
fn id(name: &str, value: &Value) -> Result<Option<i64>, Refused> {
    match value {
        Value::Null => Ok(None),
        value => as_integer(value)
            .map(Some)
            .ok_or_else(|| Refused::invalid(format!("{name} must be a whole number"))),
    }
}

async fn messages(
    State(telegram): State<TelegramEmulator>,
    body: Body<MessageBody>,
) -> Result<Json<Pushed>, Refused> {
    let Json(body) = body?;
    Ok(Json(telegram.arrive(body.arrival()?).await?))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListQuery {
    bot_identity: Option<i64>,
    chat_id: Option<i64>,
    limit: Option<usize>,
}

impl ListQuery {
    fn limit(&self) -> usize {
        self.limit.unwrap_or(LIST_DEFAULT).min(MAX_LIST)
    }
}

async fn outbox(State(telegram): State<TelegramEmulator>, Query(query): Query<ListQuery>) -> Json<Value> {
    Json(json!({"messages": telegram.outbox(query.bot_identity, query.chat_id, query.limit())}))
}

async fn updates(State(telegram): State<TelegramEmulator>, Query(query): Query<ListQuery>) -> Json<Value> {
    let core = telegram.inner.lock();
    Json(json!({"updates": core.state.shown_updates(query.bot_identity, query.limit())}))
}

async fn actions(State(telegram): State<TelegramEmulator>, Query(query): Query<ListQuery>) -> Json<Value> {
    let mut actions = telegram.chat_actions();
    actions.retain(|action| query.chat_id.is_none_or(|chat| chat == action.chat_id));
    let surplus = actions.len().saturating_sub(query.limit());
    Json(json!({"actions": actions.split_off(surplus)}))
}

async fn drafts(State(telegram): State<TelegramEmulator>, Query(query): Query<ListQuery>) -> Json<Value> {
    let mut drafts = telegram.drafts();
    let bot = query.bot_identity.map(|bot| bot.to_string());
    drafts.retain(|draft| {
        query.chat_id.is_none_or(|chat| chat == draft.chat_id)
            && bot.as_ref().is_none_or(|bot| *bot == draft.bot_identity)
    });
    let surplus = drafts.len().saturating_sub(query.limit());
    Json(json!({"drafts": drafts.split_off(surplus)}))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StopBody {
    bot_identity: Value,
    chat_id: Value,
    draft_id: Value,
}

/// A person presses the stop button below a draft.
async fn stops(
    State(telegram): State<TelegramEmulator>,
    body: Body<StopBody>,
) -> Result<Json<Pushed>, Refused> {
    let Json(body) = body?;
    let needed = |name: &str, value: &Value| {
        id(name, value)?.ok_or_else(|| Refused::invalid(format!("{name} is missing")))
    };
    let bot = needed("botIdentity", &body.bot_identity)?;
    let (chat, draft) = (needed("chatId", &body.chat_id)?, needed("draftId", &body.draft_id)?);
    Ok(Json(telegram.press_stop(bot, chat, draft).await?))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BotBody {
    token: Option<String>,
    username: Option<String>,
    /// As in the answer of `getMe`.
    #[serde(default)]
    can_manage_bots: bool,
}

async fn bots(State(telegram): State<TelegramEmulator>, body: Body<BotBody>) -> Result<Json<Value>, Refused> {
    let Json(body) = body?;
    let EmulatedBot { token, id, username } =
        telegram.add_bot(body.token.as_deref(), body.username.as_deref())?;
    if body.can_manage_bots {
        telegram.let_manage(id)?;
    }
    Ok(Json(json!({"botIdentity": id.to_string(), "username": username, "token": token})))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TapBody {
    link: String,
    user_id: Value,
    username: Option<String>,
}

/// A user opens a link for a new bot and creates the bot.
async fn managed_bots(
    State(telegram): State<TelegramEmulator>,
    body: Body<TapBody>,
) -> Result<Json<Created>, Refused> {
    let Json(TapBody { link, user_id, username }) = body?;
    let user_id = id("userId", &user_id)?.filter(|id| *id > 0);
    let user_id = user_id.ok_or_else(|| Refused::invalid("userId must be the id of a user"))?;
    Ok(Json(telegram.tap(Tap { link, user_id, username }).await?))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileQuery {
    bot_identity: i64,
    #[serde(default)]
    file_name: String,
}

async fn files(
    State(telegram): State<TelegramEmulator>,
    Query(query): Query<FileQuery>,
    content: Bytes,
) -> Result<Json<StoredFile>, Refused> {
    Ok(Json(telegram.add_file(query.bot_identity, &query.file_name, content).await?))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FaultBody {
    method: String,
    #[serde(default = "once")]
    times: usize,
    error_code: u16,
    #[serde(default)]
    description: String,
    retry_after: Option<u64>,
    migrate_to_chat_id: Option<i64>,
    #[serde(default)]
    applied: bool,
}

const fn once() -> usize {
    1
}

async fn faults(
    State(telegram): State<TelegramEmulator>,
    body: Body<FaultBody>,
) -> Result<Json<Value>, Refused> {
    let Json(body) = body?;
    if !(400..600).contains(&body.error_code) {
        return Err(Refused::invalid("errorCode must be 400 to 599"));
    }
    let FaultBody { method, times, error_code, description, retry_after, migrate_to_chat_id, applied } = body;
    let error = ApiError { code: error_code, description, retry_after, migrate_to_chat_id };
    telegram.fault(&method, &Fault { error, applied }, times);
    Ok(Json(json!({"queued": times})))
}
