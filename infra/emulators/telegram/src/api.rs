//! `/bot<token>/<method>`: finds the bot, applies a queued fault, calls the method and wraps its answer.

use std::sync::PoisonError;

use crate::answer::{ApiError, Success};
use crate::params::Params;
use crate::records::SentKind;
use crate::{TelegramEmulator, drafts, files, hooks, managed, sending, token, updates};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};

/// Largest accepted request: Telegram lets bots upload 50 MB.
const MAX_BODY_BYTES: usize = 50 << 20;

pub(super) fn router(telegram: TelegramEmulator) -> Router {
    Router::new()
        .route("/bot{token}/{method}", any(call))
        .route("/file/bot{token}/{*path}", get(files::download))
        .fallback(|| async { ApiError::new(404, "Not Found") })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(telegram)
}

async fn call(
    State(telegram): State<TelegramEmulator>,
    Path((token, method)): Path<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    let bot = telegram.authenticate(&token)?;
    let params = Params::read(request).await?;
    // Method names are case-insensitive.
    let method = method.to_ascii_lowercase();
    let fault = telegram.inner.faults.lock().unwrap_or_else(PoisonError::into_inner).take(&method);
    match fault {
        Some(fault) if fault.applied => {
            dispatch(&telegram, bot, &method, &params).await?;
            Err(fault.error)
        }
        Some(fault) => Err(fault.error),
        None => dispatch(&telegram, bot, &method, &params).await.map(IntoResponse::into_response),
    }
}

async fn dispatch(
    telegram: &TelegramEmulator,
    bot: i64,
    method: &str,
    params: &Params,
) -> Result<Success, ApiError> {
    let inner = &telegram.inner;
    match method {
        "getme" => Ok(get_me(telegram, bot)),
        "setwebhook" => hooks::set(inner, bot, params),
        "deletewebhook" => hooks::delete(inner, bot, params),
        "getwebhookinfo" => Ok(hooks::info(inner, bot)),
        "sendmessage" => sending::message(inner, bot, params),
        "sendaudio" => sending::file(inner, bot, params, SentKind::Audio, "audio"),
        "senddocument" => sending::file(inner, bot, params, SentKind::Document, "document"),
        "sendmessagedraft" => drafts::text(inner, bot, params),
        "sendrichmessagedraft" => drafts::rich(inner, bot, params),
        "sendchataction" => sending::chat_action(inner, bot, params),
        "getfile" => files::get(inner, bot, params),
        "getmanagedbottoken" => managed::token(inner, bot, params),
        "replacemanagedbottoken" => managed::replace(telegram, bot, params),
        "getupdates" => updates::get(inner, bot, params).await,
        _ => Err(ApiError::new(404, "Not Found: method not found")),
    }
}

impl TelegramEmulator {
    /// Returns the bot with this token.
    pub(super) fn authenticate(&self, token: &str) -> Result<i64, ApiError> {
        if token::id_of(token).is_none() {
            return Err(ApiError::new(404, "Not Found"));
        }
        self.inner.lock().state.bot_by_token(token).ok_or_else(|| ApiError::new(401, "Unauthorized"))
    }
}

fn get_me(telegram: &TelegramEmulator, bot: i64) -> Success {
    let mut user = telegram.inner.user(bot);
    user["can_join_groups"] = true.into();
    user["can_read_all_group_messages"] = false.into();
    user["supports_inline_queries"] = false.into();
    let can_manage = telegram.inner.lock().state.bot(bot).is_some_and(|bot| bot.can_manage_bots);
    user["can_manage_bots"] = can_manage.into();
    user.into()
}
