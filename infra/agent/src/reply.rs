//! Replies that the worker delivers to the user itself, which are those to Telegram. For all other providers the app
//! reads the reply from the deployment's API.

use std::convert::Infallible;
use std::time::Duration;

use af_telegram::{
    Bot, BotApi, ChatAction, DeliveryError, Outgoing, ParseMode, TelegramError, TokioPause, WaitLimits,
    deliver, http_client,
};

use crate::engine::Failure;
use crate::hydration::ReceivedBundle;

/// Delay before "typing…" is shown. For a faster engine it would still be visible after the reply.
const TYPING_AFTER: Duration = Duration::from_millis(500);
/// Interval of "typing…", which Telegram shows for five seconds.
const TYPING_EVERY: Duration = Duration::from_secs(4);

/// Gives access to the chats that replies go to.
pub struct Chats(BotApi);

/// The chat for one reply.
pub struct Chat {
    bot: Bot,
    chat_id: i64,
    message_thread_id: Option<i64>,
}

impl Chats {
    /// The chats behind the Bot API at this URL.
    pub fn new(telegram_api_url: &str) -> Result<Self, TelegramError> {
        Ok(Self(BotApi::new(http_client(telegram_api_url)?, telegram_api_url)))
    }

    /// The chat for the reply to this message, which is the payload's `providerUserId`; `None` when the worker does not
    /// send the reply itself.
    pub fn of(&self, bundle: &ReceivedBundle) -> Result<Option<Chat>, Failure> {
        if bundle.payload.provider != "telegram" {
            return Ok(None);
        }
        // To complete the message here would lose the reply silently. An operator can import the token before a retry.
        let Some(token) = &bundle.telegram_bot_token else {
            return Err(Failure::retryable("the bundle has no Telegram bot token to reply with"));
        };
        let Ok(chat_id) = bundle.payload.provider_user_id.parse() else {
            return Err(Failure::permanent("providerUserId is not the id of a Telegram chat"));
        };
        Ok(Some(Chat { bot: self.0.bot(token), chat_id, message_thread_id: topic(bundle) }))
    }
}

impl Chat {
    /// Shows "typing…" until it is dropped. Failures are ignored.
    pub async fn typing(&self) -> Infallible {
        tokio::time::sleep(TYPING_AFTER).await;
        loop {
            if let Err(error) =
                self.bot.send_chat_action(self.chat_id, ChatAction::Typing, self.message_thread_id).await
            {
                tracing::debug!(%error, "\"typing…\" could not be shown");
            }
            tokio::time::sleep(TYPING_EVERY).await;
        }
    }

    /// Sends the reply, in several messages if it is long.
    pub async fn send(&self, text: &str, parse_mode: Option<ParseMode>) -> Result<(), Failure> {
        let outgoing = Outgoing {
            chat_id: self.chat_id,
            text,
            parse_mode,
            reply_to: None,
            message_thread_id: self.message_thread_id,
            parts_sent: 0,
        };
        let sent = deliver(&self.bot, &outgoing, WaitLimits::default(), &TokioPause).await;
        sent.map(drop).map_err(|error| undelivered(&error))
    }
}

/// The forum topic of the message, which the webhook stores as metadata. A message can be sent only to the thread of a
/// topic. Elsewhere a thread id is a chain of replies.
fn topic(bundle: &ReceivedBundle) -> Option<i64> {
    let metadata = &bundle.payload.metadata;
    metadata.get("telegramIsTopicMessage").filter(|is_topic| *is_topic == "true")?;
    metadata.get("telegramThreadId")?.parse().ok()
}

/// A user must not get a reply twice. So a message becomes a dead letter, which an operator must handle, if a part of its
/// reply may have arrived. A token that Telegram refuses may be outdated, and the next attempt gets the current one.
fn undelivered(error: &DeliveryError) -> Failure {
    let DeliveryError::Part { parts_sent, source, .. } = error else {
        return Failure::permanent(error.to_string());
    };
    let may_be_there = *parts_sent > 0 || source.may_have_happened();
    let may_pass = source.is_transient() || matches!(source, TelegramError::Unauthorized);
    let note = if may_be_there { " (some of the reply may have arrived)" } else { "" };
    let retry_after = match source {
        TelegramError::RateLimited { retry_after } => Some(Duration::from_millis(retry_after.as_millis())),
        _ => None,
    };
    let reason = format!("{error}: {source}{note}");
    Failure { reason, retryable: !may_be_there && may_pass, retry_after }
}

#[cfg(test)]
mod tests {
    use af_domain::time::Millis;

    use super::*;

    fn part(parts_sent: usize, source: TelegramError) -> DeliveryError {
        DeliveryError::Part { parts_sent, chat_id: 7, source }
    }

    #[test]
    fn only_a_reply_that_cannot_have_arrived_is_retryable() {
        let limited = || TelegramError::RateLimited { retry_after: Millis::new(1) };
        let of_limited = undelivered(&part(0, limited()));
        assert!(of_limited.retryable && of_limited.retry_after == Some(Duration::from_millis(1)));
        assert!(!undelivered(&part(1, limited())).retryable);
        assert!(
            undelivered(&part(0, TelegramError::Unauthorized)).retryable,
            "the next attempt may get a new token"
        );
        assert!(!undelivered(&part(1, TelegramError::Unauthorized)).retryable);
        assert!(!undelivered(&part(0, TelegramError::Unavailable { status: 502 })).retryable);
        let blocked = TelegramError::Forbidden { description: "blocked".to_owned() };
        assert!(!undelivered(&part(0, blocked)).retryable);
        assert!(!undelivered(&DeliveryError::TooLong { parts: 101 }).retryable);
    }
}
