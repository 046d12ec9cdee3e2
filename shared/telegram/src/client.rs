//! Bot API client: the methods we call, and nothing else. Source: <https://core.telegram.org/bots/api>.
//!
//! The token is part of every URL, so URLs are never logged and never leave this module: errors are stripped of
//! theirs (see [`TelegramError`]), and redirects are not followed by the client that [`http_client`] makes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Refusal, TelegramError};

/// Time that one call may take, its answer included. Telegram answers in well under a second; a function must
/// be able to give up within its own timeout.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Time that a connection may take to come about.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Largest answer read. Ours hold one message or one user; more is not the Bot API.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// An HTTP client fit for [`BotApi::new`]: it follows no redirect, since a followed one would carry the token's
/// URL to another host, and it asks no proxy when the Bot API is on this machine.
///
/// # Errors
/// When the TLS backend cannot be set up.
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

/// A Bot API server: `https://api.telegram.org`, a self-hosted one, or the stand-in of `agent-factory dev`.
#[derive(Clone, Debug)]
pub struct BotApi {
    pub(crate) http: reqwest::Client,
    pub(crate) base_url: Arc<str>,
}

impl BotApi {
    /// The server at `base_url` (with or without a slash at the end), called through `http`.
    pub fn new(http: reqwest::Client, base_url: &str) -> Self {
        Self { http, base_url: base_url.trim_end_matches('/').into() }
    }

    /// The bot that `token` belongs to. Nothing is called or checked yet.
    pub fn bot(&self, token: &SecretString) -> Bot {
        Bot { api: self.clone(), token: token.clone() }
    }
}

/// One bot at one server.
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

/// The bot itself, as `getMe` answers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct BotUser {
    /// The bot's numeric id: its bot identity.
    pub id: i64,
    /// Its name without `@`.
    #[serde(default)]
    pub username: Option<String>,
    /// Its display name.
    #[serde(default)]
    pub first_name: String,
}

/// How a text is marked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ParseMode {
    /// `<b>`, `<i>`, `<code>`, `<pre>`, `<a href>` and the like.
    #[serde(rename = "HTML")]
    Html,
}

/// What the bot is shown to be doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ChatAction {
    /// "typing…", for five seconds or until the next message.
    #[serde(rename = "typing")]
    Typing,
}

/// One `sendMessage`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendMessage<'a> {
    /// Where to.
    pub chat_id: i64,
    /// 1 to 4096 characters after entity parsing.
    pub text: &'a str,
    /// How `text` is marked up; plain when `None`.
    pub parse_mode: Option<ParseMode>,
    /// The message that this one answers. When it is gone, the message is sent all the same.
    pub reply_to: Option<i64>,
    /// The forum topic to write into.
    pub message_thread_id: Option<i64>,
}

/// A message that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct SentMessage {
    /// Its id within its chat.
    pub message_id: i64,
}

/// One `setWebhook`.
#[derive(Clone, Debug)]
pub struct SetWebhook<'a> {
    /// Where Telegram shall push updates.
    pub url: &'a str,
    /// 1 to 256 of `A-Z a-z 0-9 _ -`; comes back in `X-Telegram-Bot-Api-Secret-Token`.
    pub secret_token: &'a SecretString,
    /// Kinds of updates to push.
    pub allowed_updates: &'a [&'a str],
    /// Connections at once, 1 to 100.
    pub max_connections: u8,
}

/// A webhook's state, as `getWebhookInfo` answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct WebhookInfo {
    /// Where updates go; empty when no webhook is set.
    pub url: String,
    /// Updates that wait for delivery.
    pub pending_update_count: u64,
    /// When the last delivery failed, in seconds since the epoch.
    pub last_error_date: Option<u64>,
    /// Why it failed.
    pub last_error_message: Option<String>,
    /// Connections at once.
    pub max_connections: Option<u32>,
    /// Kinds of updates that are pushed.
    pub allowed_updates: Vec<String>,
}

#[derive(Deserialize)]
struct Answer<T> {
    ok: bool,
    result: Option<T>,
}

impl Bot {
    /// Who the token belongs to.
    ///
    /// # Errors
    /// `Unauthorized` when the token is not (or no longer) a bot's; else see [`TelegramError`].
    pub async fn get_me(&self) -> Result<BotUser, TelegramError> {
        self.call("getMe", &serde_json::json!({})).await
    }

    /// Has updates pushed to a URL. Setting it again replaces it.
    ///
    /// # Errors
    /// `BadRequest` when Telegram refuses the URL or the secret; else see [`TelegramError`].
    pub async fn set_webhook(&self, webhook: &SetWebhook<'_>) -> Result<(), TelegramError> {
        let body = serde_json::json!({
            "url": webhook.url,
            "secret_token": webhook.secret_token.expose_secret(),
            "allowed_updates": webhook.allowed_updates,
            "max_connections": webhook.max_connections,
        });
        self.call::<bool>("setWebhook", &body).await.map(|_| ())
    }

    /// Where updates go, and how that fares.
    ///
    /// # Errors
    /// See [`TelegramError`].
    pub async fn get_webhook_info(&self) -> Result<WebhookInfo, TelegramError> {
        self.call("getWebhookInfo", &serde_json::json!({})).await
    }

    /// Sends one text of at most 4096 characters, once. For longer ones, and for retries, see
    /// [`deliver`](crate::delivery::deliver).
    ///
    /// # Errors
    /// See [`TelegramError`]; ask [`may_have_happened`](TelegramError::may_have_happened) before sending again.
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

    /// Shows the bot as doing `action`.
    ///
    /// # Errors
    /// See [`TelegramError`].
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

    /// The token, when it may be put into a URL: a slash or a question mark in it would make another request of it.
    pub(crate) fn token(&self) -> Result<&str, TelegramError> {
        Some(self.token.expose_secret()).filter(|token| is_token(token)).ok_or(TelegramError::Unauthorized)
    }

    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        body: &serde_json::Value,
    ) -> Result<T, TelegramError> {
        let token = self.token()?;
        let url = format!("{}/bot{token}/{method}", self.api.base_url);
        let request = self.api.http.post(url).timeout(REQUEST_TIMEOUT).json(body);
        let response = request.send().await.map_err(TelegramError::transport)?;
        let status = response.status().as_u16();
        let bytes = read_bounded(response, MAX_ANSWER_BYTES).await?.ok_or(TelegramError::Unreadable)?;
        match serde_json::from_slice::<Answer<T>>(&bytes) {
            Ok(Answer { ok: true, result: Some(result) }) => Ok(result),
            Ok(Answer { ok: true, result: None }) => Err(TelegramError::Unreadable),
            // A proxy's error page is not JSON; its status still says what to do.
            Ok(Answer { ok: false, .. }) => {
                Err(serde_json::from_slice::<Refusal>(&bytes).unwrap_or_default().into_error(status, token))
            }
            Err(_) if status >= 400 => Err(Refusal::default().into_error(status, token)),
            Err(_) => Err(TelegramError::Unreadable),
        }
    }
}

/// Reads a body of at most `max_bytes` bytes; `None` when it is larger.
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
    async fn a_text_that_is_no_token_is_unauthorized_without_a_request() {
        let api = BotApi::new(reqwest::Client::new(), "http://127.0.0.1:1");
        assert!(matches!(
            api.bot(&SecretString::from("../evil?")).get_me().await,
            Err(TelegramError::Unauthorized)
        ));
    }

    #[test]
    fn webhook_info_is_read_with_fields_missing_and_unknown() {
        let info: WebhookInfo =
            serde_json::from_str(r#"{"url":"","has_custom_certificate":false,"pending_update_count":3}"#)
                .unwrap();
        assert_eq!((info.url.as_str(), info.pending_update_count, info.last_error_date), ("", 3, None));
    }
}
