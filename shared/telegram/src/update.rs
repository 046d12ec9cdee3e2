//! The meaning of an update that Telegram pushed, as a pure function of its JSON.
//!
//! Only the needed fields are read, each separately. A field with an unexpected type counts as absent and
//! does not make the update unreadable, because Telegram adds types and fields without notice.

use std::collections::BTreeMap;

use af_domain::attachment::Attachment;
use af_domain::ids::BotIdentity;
use af_domain::json_text::mended;
use serde_json::Value;

mod wire;

use wire::{Media, Message, Update};

/// The kinds of updates to request from Telegram.
pub const ALLOWED_UPDATES: &[&str] = &["message", "edited_message"];

/// The largest original JSON that a message keeps. It is a copy for convenience, and must not displace the text.
pub const MAX_RAW_BYTES: usize = 16 * 1024;

/// The sender and the chat of an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The update number. It is sequential per bot, and unique together with the bot identity.
    pub update_id: u64,
    /// The chat of the message, which also receives the reply.
    pub chat_id: i64,
    /// `private`, `group` or `supergroup`, as Telegram reports it.
    pub chat_type: String,
    /// The user id of the sender.
    pub user_id: i64,
    /// The user name of the sender without `@`, if any.
    pub username: Option<String>,
    /// The message id within its chat.
    pub message_id: i64,
}

/// A message for an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncomingMessage {
    /// The sender and the chat.
    pub origin: Origin,
    /// The text, the caption, or a readable name of the media (`[photo]`). Never empty.
    pub text: String,
    /// Further data of the message, under keys that begin with `telegram`.
    pub metadata: BTreeMap<String, String>,
    /// The file sent with the message. Telegram sends several files as several messages.
    pub attachment: Option<Attachment>,
    /// The original JSON of the update, with U+FFFD for broken characters. `None` for an update of more than
    /// [`MAX_RAW_BYTES`], whose metadata then has `telegramRawUpdate: omitted`.
    pub raw: Option<String>,
}

/// The meaning of an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ingress {
    /// A message to enqueue.
    Message(IncomingMessage),
    /// `/start <code>`: the code may be a pairing code.
    PairingStart {
        /// 4 to 128 letters, digits, `_` or `-`.
        code: String,
        /// The sender and the chat.
        origin: Origin,
    },
    /// `/start` without a code, or with an invalid one.
    BareStart {
        /// Whether there was an invalid code.
        malformed: bool,
        /// The sender and the chat.
        origin: Origin,
    },
    /// `/stop`: cancel all queued and running messages of the chat's conversation.
    Stop {
        /// The sender and the chat.
        origin: Origin,
    },
    /// The update is ignored, and a retry would not change that.
    Ignored {
        /// The reason, in one word for metrics: `malformed_json`, `unsupported_update`,
        /// `unsupported_message`, `no_update_id`, `no_chat`, `no_sender` or `no_message_id`.
        reason: &'static str,
    },
}

/// Parses the update in `body`, which was pushed for the bot `bot`. The caller limits the body's size.
pub fn read(bot: &BotIdentity, body: &[u8]) -> Ingress {
    match parse(bot, body) {
        Ok(ingress) => ingress,
        Err(reason) => Ingress::Ignored { reason },
    }
}

fn parse(bot: &BotIdentity, body: &[u8]) -> Result<Ingress, &'static str> {
    let raw = mended(body);
    // Parsing through a `Value` accepts a duplicate field; direct parsing would refuse it.
    let value: Value = serde_json::from_str(&raw).map_err(|_| "malformed_json")?;
    if !value.is_object() {
        return Err("malformed_json");
    }
    let update: Update = serde_json::from_value(value).map_err(|_| "malformed_json")?;
    let update_id = update.update_id.ok_or("no_update_id")?;
    let (message, edited) = match (update.message, update.edited_message) {
        (Some(message), _) => (message, false),
        (None, Some(message)) => (message, true),
        (None, None) => return Err("unsupported_update"),
    };
    let chat = message.chat.as_ref().ok_or("no_chat")?;
    let chat_id = chat.id.ok_or("no_chat")?;
    let sender = message.from.as_ref().ok_or("no_sender")?;
    let origin = Origin {
        update_id,
        chat_id,
        chat_type: chat.kind.clone().unwrap_or_else(|| kind_by_id(chat_id).to_owned()),
        user_id: sender.id.ok_or("no_sender")?,
        username: sender.username.clone().filter(|name| !name.is_empty()),
        message_id: message.message_id.ok_or("no_message_id")?,
    };
    if let Some(text) = message.text.as_deref() {
        match parse_command(text) {
            Some(Word::Start(code)) => {
                return Ok(Ingress::PairingStart { code: code.to_owned(), origin });
            }
            Some(Word::BareStart { malformed }) => return Ok(Ingress::BareStart { malformed, origin }),
            Some(Word::Stop) => return Ok(Ingress::Stop { origin }),
            None => {}
        }
    }
    let text = message.readable_text().ok_or("unsupported_message")?;
    let mut metadata = metadata(bot, &origin, &message, edited);
    let attachment = message.media().and_then(Media::attachment);
    let raw = (raw.len() <= MAX_RAW_BYTES).then(|| raw.into_owned());
    if raw.is_none() {
        metadata.insert("telegramRawUpdate".to_owned(), "omitted".to_owned());
    }
    Ok(Ingress::Message(IncomingMessage { origin, text, metadata, attachment, raw }))
}

/// Telegram gives users positive ids and groups negative ones. The sign replaces a missing type.
fn kind_by_id(chat_id: i64) -> &'static str {
    if chat_id > 0 { "private" } else { "group" }
}

fn metadata(bot: &BotIdentity, who: &Origin, message: &Message, edited: bool) -> BTreeMap<String, String> {
    let mut map = BTreeMap::new();
    let mut put = |key: &str, value: String| {
        map.insert(key.to_owned(), value);
    };
    put("telegramBotIdentity", bot.to_string());
    put("telegramChatId", who.chat_id.to_string());
    put("telegramUserId", who.user_id.to_string());
    put("telegramMessageId", who.message_id.to_string());
    if let Some(username) = &who.username {
        put("telegramUsername", username.clone());
    }
    if let Some(media) = message.media() {
        put("telegramMediaType", media.kind.as_str().to_owned());
        if let Some(file_id) = media.file.file_id.clone().filter(|id| !id.is_empty()) {
            put(media.file_id_key, file_id);
        }
    }
    if edited {
        put("telegramEdited", "true".to_owned());
    }
    if let Some(id) = message.replied_to() {
        put("telegramReplyToMessageId", id.to_string());
    }
    if let Some(thread) = message.message_thread_id {
        put("telegramThreadId", thread.to_string());
    }
    if message.is_topic_message == Some(true) {
        // A bot can write only into the thread of a topic. Elsewhere a thread id is a chain of replies.
        put("telegramIsTopicMessage", "true".to_owned());
    }
    map
}

/// A command that the system handles itself.
#[derive(Debug, PartialEq, Eq)]
enum Word<'a> {
    Start(&'a str),
    BareStart { malformed: bool },
    Stop,
}

/// Matches `^/start(?:@\w+)?\s+([A-Za-z0-9_-]{4,128})\s*$`, any other `/start`, or a single `/stop`.
fn parse_command(text: &str) -> Option<Word<'_>> {
    if let Some(rest) = argument(text, "/start") {
        return Some(match rest.trim() {
            "" => Word::BareStart { malformed: false },
            code if is_code(code) => Word::Start(code),
            _ => Word::BareStart { malformed: true },
        });
    }
    // "/stop the press" is a message for the agent and must not be dropped.
    argument(text, "/stop").filter(|rest| rest.trim().is_empty()).map(|_| Word::Stop)
}

/// Returns the text after `command` (and the bot's name); `None` if `text` is not that command.
fn argument<'a>(text: &'a str, command: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(command)?;
    let rest = match rest.strip_prefix('@') {
        Some(named) => {
            let after = named.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
            if after.len() == named.len() {
                return None;
            }
            after
        }
        None => rest,
    };
    (rest.is_empty() || rest.starts_with(char::is_whitespace)).then_some(rest)
}

fn is_code(text: &str) -> bool {
    (4..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
