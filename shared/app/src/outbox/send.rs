//! One call to Telegram for one part, and what its result means for the part.

use std::time::Duration;

use af_domain::outbox::Part;
use af_domain::time::Millis;
use af_telegram::{
    BotApi, ChatAction, SendDraft, SendMessage, SentMessage, TelegramError, is_markup_problem,
    is_topic_problem,
};
use futures::future::BoxFuture;
use secrecy::SecretString;

/// A sender of everything that a chat gets: the Bot API, or its replacement in a test.
pub trait Messenger: Send + Sync {
    /// Sends one message of the bot with this token, once.
    fn send<'a>(
        &'a self,
        token: &'a SecretString,
        message: SendMessage<'a>,
    ) -> BoxFuture<'a, Result<SentMessage, TelegramError>>;

    /// Shows the draft of a reply in a private chat, once.
    fn draft<'a>(
        &'a self,
        token: &'a SecretString,
        draft: SendDraft<'a>,
    ) -> BoxFuture<'a, Result<(), TelegramError>>;

    /// Shows "typing…" in a group, or in its topic, once.
    fn typing<'a>(
        &'a self,
        token: &'a SecretString,
        chat: i64,
        topic: Option<i64>,
    ) -> BoxFuture<'a, Result<(), TelegramError>>;

    /// Waits.
    fn pause(&self, length: Millis) -> BoxFuture<'_, ()>;
}

/// The Bot API.
pub struct BotMessenger(pub BotApi);

impl Messenger for BotMessenger {
    fn send<'a>(
        &'a self,
        token: &'a SecretString,
        message: SendMessage<'a>,
    ) -> BoxFuture<'a, Result<SentMessage, TelegramError>> {
        Box::pin(async move { self.0.bot(token).send_message(&message).await })
    }

    fn draft<'a>(
        &'a self,
        token: &'a SecretString,
        draft: SendDraft<'a>,
    ) -> BoxFuture<'a, Result<(), TelegramError>> {
        Box::pin(async move { self.0.bot(token).send_draft(&draft).await })
    }

    fn typing<'a>(
        &'a self,
        token: &'a SecretString,
        chat: i64,
        topic: Option<i64>,
    ) -> BoxFuture<'a, Result<(), TelegramError>> {
        Box::pin(async move { self.0.bot(token).send_chat_action(chat, ChatAction::Typing, topic).await })
    }

    fn pause(&self, length: Millis) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(Duration::from_millis(length.as_millis())))
    }
}

/// The result of sending a part.
#[derive(Debug)]
pub(super) enum Sent {
    /// It was sent, or may have been.
    Part(Part),
    /// It was certainly not sent, and must wait. `asked` tells whether Telegram named the time.
    Wait {
        /// How long Telegram asks to wait; `None` when Telegram cannot be reached.
        asked: Option<Millis>,
        /// The reason.
        reason: String,
    },
    /// It was certainly not sent, because the chat has this id now.
    Moved(i64),
    /// It was certainly not sent, because Telegram refuses the token.
    Unauthorized,
    /// It can never be sent.
    Refused(String),
}

/// Sends `message`. If Telegram refuses its markup, `plain` is sent instead. If its topic is gone, it goes to the chat.
pub(super) async fn send(
    messenger: &dyn Messenger,
    token: &SecretString,
    mut message: SendMessage<'_>,
    plain: &str,
) -> Sent {
    loop {
        let error = match messenger.send(token, message_with(&message, plain)).await {
            Ok(sent) => return Sent::Part(Part::Sent { message_id: sent.message_id }),
            Err(error) => error,
        };
        match &error {
            TelegramError::BadRequest { description }
                if message.parse_mode.is_some() && is_markup_problem(description) =>
            {
                message.parse_mode = None;
            }
            TelegramError::BadRequest { description }
                if message.message_thread_id.is_some() && is_topic_problem(description) =>
            {
                message.message_thread_id = None;
            }
            TelegramError::RateLimited { retry_after } => {
                return Sent::Wait { asked: Some(*retry_after), reason: error.to_string() };
            }
            TelegramError::Unreachable(_) => return Sent::Wait { asked: None, reason: error.to_string() },
            TelegramError::ChatMigrated { to } => return Sent::Moved(*to),
            TelegramError::Unauthorized => return Sent::Unauthorized,
            _ if error.may_have_happened() => return Sent::Part(Part::Uncertain),
            _ => return Sent::Refused(error.to_string()),
        }
    }
}

/// The message as it is sent: a message that lost its markup has its plain text.
fn message_with<'a>(message: &SendMessage<'a>, plain: &'a str) -> SendMessage<'a> {
    let text = if message.parse_mode.is_some() { message.text } else { plain };
    SendMessage { text, ..message.clone() }
}
