//! What an update that Telegram pushed means to us: a pure function of its JSON.
//!
//! Only the fields we use are read, each on its own: a field of an unexpected kind counts as absent and does not
//! make the rest unreadable, because Telegram adds kinds and fields without notice.

use std::collections::BTreeMap;

use af_domain::attachment::Attachment;
use af_domain::ids::BotIdentity;
use serde_json::Value;

mod wire;

use wire::{Media, Message, Update};

/// The kinds of updates that we ask Telegram for; all others it keeps to itself.
pub const ALLOWED_UPDATES: &[&str] = &["message", "edited_message"];

/// A message for an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncomingMessage {
    /// Sequential per bot; together with the bot identity it names the update once and for all.
    pub update_id: u64,
    /// Where it was written, and where the answer goes.
    pub chat_id: i64,
    /// `private`, `group` or `supergroup`, as Telegram says.
    pub chat_type: String,
    /// Who wrote it.
    pub user_id: i64,
    /// Their name without `@`, if they have one.
    pub username: Option<String>,
    /// The message's id within its chat.
    pub message_id: i64,
    /// Its text, its caption, or a readable name of what it brought (`[photo]`). Never empty.
    pub text: String,
    /// What is known of the message besides its text, under keys that begin with `telegram`.
    pub metadata: BTreeMap<String, String>,
    /// The file that came with it. Telegram sends several as several messages.
    pub attachment: Option<Attachment>,
    /// The update's JSON as it came.
    pub raw: String,
}

/// A command to the system, not to an agent: who gave it, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Sequential per bot.
    pub update_id: u64,
    /// Where it was given, and where the answer goes.
    pub chat_id: i64,
    /// `private`, `group` or `supergroup`, as Telegram says.
    pub chat_type: String,
    /// Who gave it.
    pub user_id: i64,
    /// Their name without `@`, if they have one.
    pub username: Option<String>,
    /// The message's id within its chat.
    pub message_id: i64,
}

/// What an update means to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ingress {
    /// A message to enqueue.
    Message(IncomingMessage),
    /// `/start <code>`: the code may be a pairing code.
    PairingStart {
        /// 4 to 128 letters, digits, `_` or `-`.
        code: String,
        /// Who sent it.
        command: Command,
    },
    /// `/start` without a code, or with something that cannot be one.
    BareStart {
        /// Whether something stood where the code belongs.
        malformed: bool,
        /// Who sent it.
        command: Command,
    },
    /// `/stop`: cancel what the chat's conversation has queued and running.
    Stop {
        /// Who sent it.
        command: Command,
    },
    /// Nothing to do, and nothing that a retry would change.
    Ignored {
        /// Why, in one word for counting: `malformed_json`, `unsupported_update`, `unsupported_message`,
        /// `no_update_id`, `no_chat`, `no_sender` or `no_message_id`.
        reason: &'static str,
    },
}

/// Reads the update in `body`, which came for the bot `bot`. The caller checks the body's size.
pub fn read(bot: &BotIdentity, body: &[u8]) -> Ingress {
    match understand(bot, body) {
        Ok(ingress) => ingress,
        Err(reason) => Ingress::Ignored { reason },
    }
}

fn understand(bot: &BotIdentity, body: &[u8]) -> Result<Ingress, &'static str> {
    let raw = std::str::from_utf8(body).map_err(|_| "malformed_json")?;
    // By way of a value, so that a field given twice counts once instead of failing the whole.
    let value: Value = serde_json::from_str(raw).map_err(|_| "malformed_json")?;
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
    let command = Command {
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
                return Ok(Ingress::PairingStart { code: code.to_owned(), command });
            }
            Some(Word::BareStart { malformed }) => return Ok(Ingress::BareStart { malformed, command }),
            Some(Word::Stop) => return Ok(Ingress::Stop { command }),
            None => {}
        }
    }
    let text = message.readable_text().ok_or("unsupported_message")?;
    let metadata = metadata(bot, &command, &message, edited);
    let Command { update_id, chat_id, chat_type, user_id, username, message_id } = command;
    let attachment = message.media().and_then(Media::attachment);
    let raw = raw.to_owned();
    Ok(Ingress::Message(IncomingMessage {
        update_id,
        chat_id,
        chat_type,
        user_id,
        username,
        message_id,
        text,
        metadata,
        attachment,
        raw,
    }))
}

/// Telegram gives users positive ids and groups negative ones; that decides where the type is missing.
fn kind_by_id(chat_id: i64) -> &'static str {
    if chat_id > 0 { "private" } else { "group" }
}

fn metadata(bot: &BotIdentity, who: &Command, message: &Message, edited: bool) -> BTreeMap<String, String> {
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
        // Only a topic's thread can be written into; elsewhere a thread id is a chain of replies.
        put("telegramIsTopicMessage", "true".to_owned());
    }
    map
}

/// A command that we handle ourselves.
#[derive(Debug, PartialEq, Eq)]
enum Word<'a> {
    Start(&'a str),
    BareStart { malformed: bool },
    Stop,
}

/// `^/start(?:@\w+)?\s+([A-Za-z0-9_-]{4,128})\s*$`, any other `/start`, or a `/stop` that stands alone.
fn parse_command(text: &str) -> Option<Word<'_>> {
    if let Some(rest) = argument(text, "/start") {
        return Some(match rest.trim() {
            "" => Word::BareStart { malformed: false },
            code if is_code(code) => Word::Start(code),
            _ => Word::BareStart { malformed: true },
        });
    }
    // "/stop the press" is a sentence for the agent: to drop it would lose a message.
    argument(text, "/stop").filter(|rest| rest.trim().is_empty()).map(|_| Word::Stop)
}

/// What follows `command` (and the bot's name after it) in `text`; `None` when `text` is not that command.
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
mod tests;
