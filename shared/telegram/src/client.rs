//! Bot API client for the methods that this system calls. Source: <https://core.telegram.org/bots/api>.
//!
//! The token is part of every URL. URLs are therefore never logged and never leave this module: errors
//! contain no URL (see [`TelegramError`]), and the client made by [`http_client`] follows no redirects.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use af_domain::json_text::mended;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Refusal, TelegramError};

/// The timeout of one call, including its response. Telegram answers in well under a second, and a function
/// must be able to give up within its own timeout.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The timeout of establishing a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Largest response to read. Responses contain one message or one user, so a larger one does not come from
/// the Bot API.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// Creates an HTTP client for [`BotApi::new`]. It follows no redirects, because a redirect would send the
/// token's URL to another host, and it uses no proxy if the Bot API is on this machine. Returns an error if
/// the TLS backend cannot be set up.
pub fn http_client(base_url: &str) -> Result<reqwest::Client, TelegramError> {
    let loopback = reqwest::Url::parse(base_url)
        .ok()
        .and_then(|url| url.host_str().map(|host| matches!(host, "localhost" | "127.0.0.1" | "[::1]")))
        .unwrap_or(false);
    let builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false);
    let builder = if loopback { builder.no_proxy() } else { builder };
    builder.build().map_err(TelegramError::transport)
}

/// A Bot API server: `https://api.telegram.org`, a self-hosted server, or the emulator of `agent-factory
/// dev`.
#[derive(Clone, Debug)]
pub struct BotApi {
    pub(crate) http: reqwest::Client,
    pub(crate) base_url: Arc<str>,
}

impl BotApi {
    /// Creates a client for the server at `base_url` (with or without a trailing slash) that uses `http`.
    pub fn new(http: reqwest::Client, base_url: &str) -> Self {
        Self { http, base_url: base_url.trim_end_matches('/').into() }
    }

    /// Returns the bot of `token`, without any call or check.
    pub fn bot(&self, token: &SecretString) -> Bot {
        Bot { api: self.clone(), token: token.clone() }
    }
}

/// A bot at a server.
#[derive(Clone)]
pub struct Bot {
    pub(crate) api: BotApi,
    token: SecretString,
}

impl fmt::Debug for Bot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bot").field("base_url", &self.api.base_url).finish_non_exhaustive()
    }
}

/// The bot's own user, as returned by `getMe`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct BotUser {
    /// The numeric bot id, which is the bot identity.
    pub id: i64,
    /// The user name without `@`.
    #[serde(default)]
    pub username: Option<String>,
    /// The display name.
    #[serde(default)]
    pub first_name: String,
    /// Whether people can create bots that this bot manages.
    #[serde(default)]
    pub can_manage_bots: bool,
}

/// The markup of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ParseMode {
    /// `<b>`, `<i>`, `<code>`, `<pre>`, `<a href>` and similar tags.
    #[serde(rename = "HTML")]
    Html,
}

/// The activity that the bot shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ChatAction {
    /// "typing…", shown for five seconds or until the next message.
    #[serde(rename = "typing")]
    Typing,
}

/// The parameters of `sendMessage`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendMessage<'a> {
    /// The chat.
    pub chat_id: i64,
    /// 1 to 4096 characters after entity parsing.
    pub text: &'a str,
    /// The markup of `text`; `None` for plain text.
    pub parse_mode: Option<ParseMode>,
    /// The message to reply to. If it no longer exists, the message is sent without a reply reference.
    pub reply_to: Option<i64>,
    /// The forum topic of the message.
    pub message_thread_id: Option<i64>,
}

/// The parameters of `sendMessageDraft`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendDraft<'a> {
    /// The private chat.
    pub chat_id: i64,
    /// The identity of the draft in its chat, not zero. A call with the same id changes the draft.
    pub draft_id: i64,
    /// At most 4096 characters of plain text. An empty text shows a placeholder, "Thinking…".
    pub text: &'a str,
}

/// A sent message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct SentMessage {
    /// The message id within its chat.
    pub message_id: i64,
}

/// The parameters of `setWebhook`.
#[derive(Clone, Debug)]
pub struct SetWebhook<'a> {
    /// The URL to which Telegram pushes updates.
    pub url: &'a str,
    /// 1 to 256 of `A-Z a-z 0-9 _ -`. Telegram sends it in `X-Telegram-Bot-Api-Secret-Token`.
    pub secret_token: &'a SecretString,
    /// The kinds of updates to push.
    pub allowed_updates: &'a [&'a str],
    /// The maximum number of connections, 1 to 100.
    pub max_connections: u8,
}

/// The state of a webhook, as returned by `getWebhookInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct WebhookInfo {
    /// The URL of the webhook; empty if none is set.
    pub url: String,
    /// The number of updates that wait for delivery.
    pub pending_update_count: u64,
    /// When the last delivery failed, in seconds since the epoch.
    pub last_error_date: Option<u64>,
    /// The error message of that delivery.
    pub last_error_message: Option<String>,
    /// The maximum number of connections.
    pub max_connections: Option<u32>,
    /// The kinds of updates that are pushed.
    pub allowed_updates: Vec<String>,
}

#[derive(Deserialize)]
struct Answer<T> {
    ok: bool,
    result: Option<T>,
}

impl Bot {
    /// Returns the bot that the token belongs to, or `Unauthorized` if the token is invalid or revoked.
    pub async fn get_me(&self) -> Result<BotUser, TelegramError> {
        self.call("getMe", &serde_json::json!({})).await
    }

    /// Returns the token of a bot that this bot manages, or `BadRequest` if it does not manage the bot.
    pub async fn get_managed_bot_token(&self, bot: i64) -> Result<SecretString, TelegramError> {
        let token = self.call("getManagedBotToken", &serde_json::json!({"user_id": bot})).await;
        token.map(|token: String| token.into())
    }

    /// Revokes the token of a bot that this bot manages and returns its new token.
    pub async fn replace_managed_bot_token(&self, bot: i64) -> Result<SecretString, TelegramError> {
        let token = self.call("replaceManagedBotToken", &serde_json::json!({"user_id": bot})).await;
        token.map(|token: String| token.into())
    }

    /// Sets the webhook. A new call replaces it. Returns `BadRequest` if Telegram refuses the URL or the
    /// secret.
    pub async fn set_webhook(&self, webhook: &SetWebhook<'_>) -> Result<(), TelegramError> {
        let body = serde_json::json!({
            "url": webhook.url,
            "secret_token": webhook.secret_token.expose_secret(),
            "allowed_updates": webhook.allowed_updates,
            "max_connections": webhook.max_connections,
        });
        self.call::<bool>("setWebhook", &body).await.map(|_| ())
    }

    /// Returns the state of the webhook.
    pub async fn get_webhook_info(&self) -> Result<WebhookInfo, TelegramError> {
        self.call("getWebhookInfo", &serde_json::json!({})).await
    }

    /// Sends one text of at most 4096 characters, once. For longer texts see
    /// [`text_parts`](crate::markup::text_parts).
    /// After an error, check [`may_have_happened`](TelegramError::may_have_happened) before sending again.
    pub async fn send_message(&self, message: &SendMessage<'_>) -> Result<SentMessage, TelegramError> {
        let mut body = serde_json::json!({"chat_id": message.chat_id, "text": message.text});
        if let Some(mode) = message.parse_mode {
            body["parse_mode"] = serde_json::json!(mode);
        }
        if let Some(id) = message.reply_to {
            body["reply_parameters"] =
                serde_json::json!({"message_id": id, "allow_sending_without_reply": true});
        }
        if let Some(thread) = message.message_thread_id {
            body["message_thread_id"] = thread.into();
        }
        self.call("sendMessage", &body).await
    }

    /// Shows the bot's activity in a chat.
    pub async fn send_chat_action(
        &self,
        chat_id: i64,
        action: ChatAction,
        message_thread_id: Option<i64>,
    ) -> Result<(), TelegramError> {
        let mut body = serde_json::json!({"chat_id": chat_id, "action": action});
        if let Some(thread) = message_thread_id {
            body["message_thread_id"] = thread.into();
        }
        self.call::<bool>("sendChatAction", &body).await.map(|_| ())
    }

    /// Shows a draft in a private chat for half a minute, with a button that stops the agent. A press of the button is the
    /// update `stopped_message_generation`.
    pub async fn send_draft(&self, draft: &SendDraft<'_>) -> Result<(), TelegramError> {
        let body = serde_json::json!({
            "chat_id": draft.chat_id, "draft_id": draft.draft_id, "text": draft.text, "can_stop": true,
        });
        self.call::<bool>("sendMessageDraft", &body).await.map(|_| ())
    }

    /// Returns the token if it is safe in a URL. A slash or a question mark in it would change the request.
    pub(crate) fn token(&self) -> Result<&str, TelegramError> {
        Some(self.token.expose_secret()).filter(|token| is_token(token)).ok_or(TelegramError::Unauthorized)
    }

    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        body: &serde_json::Value,
    ) -> Result<T, TelegramError> {
        self.call_within(method, body, REQUEST_TIMEOUT, MAX_ANSWER_BYTES).await
    }

    pub(crate) async fn call_within<T: DeserializeOwned>(
        &self,
        method: &str,
        body: &serde_json::Value,
        timeout: Duration,
        max_answer_bytes: usize,
    ) -> Result<T, TelegramError> {
        let token = self.token()?;
        let url = format!("{}/bot{token}/{method}", self.api.base_url);
        let request = self.api.http.post(url).timeout(timeout).json(body);
        let response = request.send().await.map_err(TelegramError::transport)?;
        let status = response.status().as_u16();
        let bytes = read_bounded(response, max_answer_bytes).await?.ok_or(TelegramError::Unreadable)?;
        let answer = mended(&bytes);
        match serde_json::from_str::<Answer<T>>(&answer) {
            Ok(Answer { ok: true, result: Some(result) }) => Ok(result),
            Ok(Answer { ok: true, result: None }) => Err(TelegramError::Unreadable),
            // The error page of a proxy is not JSON, but its status code is still usable.
            Ok(Answer { ok: false, .. }) => {
                Err(serde_json::from_str::<Refusal>(&answer).unwrap_or_default().into_error(status, token))
            }
            Err(_) if status >= 400 => Err(Refusal::default().into_error(status, token)),
            Err(_) => Err(TelegramError::Unreadable),
        }
    }
}

/// Reads a body of at most `max_bytes` bytes; `None` if it is larger.
pub(crate) async fn read_bounded(
    mut response: reqwest::Response,
    max_bytes: usize,
) -> Result<Option<Vec<u8>>, TelegramError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(TelegramError::transport)? {
        if bytes.len() + chunk.len() > max_bytes {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes))
}

/// Whether `text` has the form of a bot token: `<digits>:<letters, digits, _ or ->`.
pub fn is_token(text: &str) -> bool {
    text.split_once(':').is_some_and(|(id, secret)| {
        (1..=20).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_digit())
            && (1..=128).contains(&secret.len())
            && secret.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_digits_a_colon_and_a_url_safe_secret() {
        assert!(is_token("123456:AAH-x_9"));
        for bad in ["", "123456", "abc:def", "1:", ":x", "1:a/b", "1:a?b", "1:a b", "1:ä"] {
            assert!(!is_token(bad), "{bad:?}");
        }
    }

    #[test]
    fn debug_shows_no_token() {
        let api = BotApi::new(reqwest::Client::new(), "http://127.0.0.1:1/");
        let bot = api.bot(&SecretString::from("42:verysecret"));
        assert_eq!(format!("{bot:?}"), r#"Bot { base_url: "http://127.0.0.1:1", .. }"#);
    }

    #[tokio::test]
    async fn an_invalid_token_is_unauthorized_without_a_request() {
        let api = BotApi::new(reqwest::Client::new(), "http://127.0.0.1:1");
        assert!(matches!(
            api.bot(&SecretString::from("../evil?")).get_me().await,
            Err(TelegramError::Unauthorized)
        ));
    }

    #[test]
    fn webhook_info_accepts_missing_and_unknown_fields() {
        let info: WebhookInfo =
            serde_json::from_str(r#"{"url":"","has_custom_certificate":false,"pending_update_count":3}"#)
                .unwrap();
        assert_eq!((info.url.as_str(), info.pending_update_count, info.last_error_date), ("", 3, None));
    }
}
