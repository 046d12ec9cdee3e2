//! The meaning of an update that Telegram pushed, as a pure function of its JSON.
//!
//! Only the needed fields are read, each separately. A field with an unexpected type counts as absent and
//! does not make the update unreadable, because Telegram adds types and fields without notice.

use std::collections::BTreeMap;

use af_domain::attachment::Attachment;
use af_domain::ids::BotIdentity;
use af_domain::json_text::mended;
use af_domain::managed_bot::CreatedBot;
use serde_json::Value;

mod content;
mod managed_bot;
mod stop;
mod wire;

pub use stop::StopBy;

use content::{Media, one_line};
use managed_bot::reported_bot;
use stop::pressed_stop;
use wire::{Message, Update};

/// The kinds of updates to request from Telegram.
pub const ALLOWED_UPDATES: &[&str] =
    &["message", "edited_message", "stopped_message_generation", MANAGED_BOT];
/// The kind of the updates about the bots that a bot manages.
pub const MANAGED_BOT: &str = "managed_bot";

/// The largest original JSON that a message keeps. It is a copy for convenience, and must not displace the text.
pub const MAX_RAW_BYTES: usize = 16 * 1024;

/// The metadata field with the id that a file has in all messages and for all bots.
pub const FILE_UNIQUE_ID: &str = "telegramFileUniqueId";
/// The metadata field of an edit that is a new message.
pub const EDITED: &str = "telegramEdited";
/// The metadata field with the time of the newest edit, in seconds since the Unix epoch.
pub const EDIT_DATE: &str = "telegramEditDate";

/// The longest shown name of an author.
const MAX_NAME_CHARS: usize = 64;
/// The longest accepted id of an album. Telegram's ids have 17 digits.
const MAX_ALBUM_ID_CHARS: usize = 32;

/// The sender and the chat of an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The update number. It is sequential per bot, and starts again at a random number after a quiet week.
    pub update_id: u64,
    /// The chat of the message, which also receives the reply.
    pub chat_id: i64,
    /// `private`, `group` or `supergroup`, as Telegram reports it.
    pub chat_type: String,
    /// The id of the sender: a user, or the chat for which a message is sent (a channel, or the group of an anonymous
    /// administrator). The id of a chat is negative, so it is never taken for a user.
    pub user_id: i64,
    /// The user name of the sender without `@`, if any.
    pub username: Option<String>,
    /// The message id within its chat; 0 for an update without a message.
    pub message_id: i64,
    /// The topic of the forum to which the message belongs. The general topic has no number.
    pub topic: Option<i64>,
}

impl Origin {
    /// Whether the chat is the private chat of one person with the bot.
    pub fn is_private(&self) -> bool {
        self.chat_type == "private"
    }
}

/// A message for an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncomingMessage {
    /// The sender and the chat.
    pub origin: Origin,
    /// The text, the caption, or a readable name of the content (`[photo]`). Never empty.
    pub text: String,
    /// Whether the text was written by the sender, and is not a name that replaces it.
    pub is_written: bool,
    /// Further data of the message, under keys that begin with `telegram`.
    pub metadata: BTreeMap<String, String>,
    /// The file sent with the message. Telegram sends several files as several messages.
    pub attachment: Option<Attachment>,
    /// The id that the messages of one album share.
    pub album: Option<String>,
    /// The time of the edit in seconds since the Unix epoch, when this is a new form of an earlier message.
    pub edited_at: Option<u64>,
    /// The name of the sender, in one line: `Ada Lovelace (@ada)`.
    pub author: String,
    /// Whether the message replies to a message of the bot, or mentions the bot by its id.
    pub names_bot: bool,
    /// The original JSON of the update, with U+FFFD for broken characters. `None` for an update of more than
    /// [`MAX_RAW_BYTES`], whose metadata then has `telegramRawUpdate: omitted`.
    pub raw: Option<String>,
}

impl IncomingMessage {
    /// Whether the message of a group is for the bot with this user name: it replies to the bot, mentions it, or is a
    /// command that is not for another bot.
    pub fn is_for_bot(&self, username: &str) -> bool {
        self.names_bot || mentions(&self.text, username) || is_command_for(&self.text, username)
    }
}

/// Whether `text` contains `@username` as a whole word.
fn mentions(text: &str, username: &str) -> bool {
    let (text, name) = (text.to_ascii_lowercase(), format!("@{}", username.to_ascii_lowercase()));
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_whole =
        |at: usize| !text[..at].ends_with(is_word) && !text[at + name.len()..].starts_with(is_word);
    name.len() > 1 && text.match_indices(&name).any(|(at, _)| is_whole(at))
}

/// Whether `text` begins with a command for any bot, or for the bot with this user name.
fn is_command_for(text: &str, username: &str) -> bool {
    let Some(rest) = text.strip_prefix('/') else { return false };
    let command = rest.split_whitespace().next().unwrap_or_default();
    let (command, bot) = command.split_once('@').map_or((command, None), |(name, bot)| (name, Some(bot)));
    let is_name = command.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && !command.is_empty();
    is_name && bot.is_none_or(|bot| bot.eq_ignore_ascii_case(username))
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
    /// All queued and running messages of the chat's conversation are to be cancelled.
    Stop {
        /// The sender and the chat. A pressed button has no sender, so its chat is named instead.
        origin: Origin,
        /// How a person has asked for it.
        by: StopBy,
    },
    /// A group became a supergroup, which has another chat id.
    Migrated {
        /// The id of the group.
        from: i64,
        /// The id of the supergroup.
        to: i64,
    },
    /// A bot that the receiving bot manages was created, or its token or owner has changed.
    ManagedBot {
        /// The update number.
        update_id: u64,
        /// The bot, and the person who owns it.
        bot: CreatedBot,
    },
    /// The update is ignored, and a retry would not change that.
    Ignored {
        /// The reason, in one word for metrics: `malformed_json`, `unsupported_update`, `unsupported_message`,
        /// `no_update_id`, `no_chat`, `no_sender`, `no_message_id`, `no_managed_bot`, `edited_command` or
        /// `edited_location`.
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
        (None, None) => {
            if let Some(reported) = update.managed_bot {
                let bot = reported_bot(&reported).ok_or("no_managed_bot")?;
                return Ok(Ingress::ManagedBot { update_id, bot });
            }
            let pressed = update.stopped_message_generation.ok_or("unsupported_update")?;
            return pressed_stop(update_id, &pressed);
        }
    };
    let chat = message.chat.as_ref().ok_or("no_chat")?;
    let chat_id = chat.id.ok_or("no_chat")?;
    if let Some(migrated) = migration(chat_id, &message) {
        return Ok(migrated);
    }
    let sender = Sender::of(&message).ok_or("no_sender")?;
    let origin = Origin {
        update_id,
        chat_id,
        chat_type: chat.kind.clone().unwrap_or_else(|| kind_by_id(chat_id).to_owned()),
        user_id: sender.id,
        username: sender.username.clone(),
        message_id: message.message_id.ok_or("no_message_id")?,
        topic: message.message_thread_id.filter(|_| message.is_topic_message == Some(true)),
    };
    if let Some(word) = message.text.as_deref().and_then(parse_command) {
        return if edited { Err("edited_command") } else { Ok(word.by(origin)) };
    }
    let text = message.readable_text().ok_or("unsupported_message")?;
    if edited && message.is_location() {
        return Err("edited_location");
    }
    let mut metadata = metadata(bot, &origin, &message);
    let raw = (raw.len() <= MAX_RAW_BYTES).then(|| raw.into_owned());
    if raw.is_none() {
        metadata.insert("telegramRawUpdate".to_owned(), "omitted".to_owned());
    }
    // An edit without a time counts as the oldest one.
    let edited_at = edited.then(|| message.edit_date.unwrap_or_default());
    if let Some(at) = edited_at {
        metadata.insert(EDITED.to_owned(), "true".to_owned());
        metadata.insert(EDIT_DATE.to_owned(), at.to_string());
    }
    let is_album_id = |id: &String| {
        (1..=MAX_ALBUM_ID_CHARS).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    Ok(Ingress::Message(IncomingMessage {
        is_written: message.is_written(),
        attachment: message.media().and_then(Media::attachment),
        album: message.media_group_id.clone().filter(is_album_id),
        edited_at,
        author: sender.name,
        names_bot: message.replies_to(bot) || message.mentions(bot),
        origin,
        text,
        metadata,
        raw,
    }))
}

/// Returns the meaning of the two messages that Telegram sends when a group becomes a supergroup.
fn migration(chat: i64, message: &Message) -> Option<Ingress> {
    let (from, to) = match (message.migrate_to_chat_id, message.migrate_from_chat_id) {
        (Some(to), _) => (chat, to),
        (None, Some(from)) => (from, chat),
        (None, None) => return None,
    };
    Some(Ingress::Migrated { from, to })
}

/// The sender of a message.
struct Sender {
    id: i64,
    username: Option<String>,
    name: String,
}

impl Sender {
    /// Returns the chat for which the message is sent, otherwise the user. For such a message, Telegram names a user that
    /// is the same for all chats of its kind.
    fn of(message: &Message) -> Option<Self> {
        let filled = |name: &Option<String>| name.clone().filter(|name| !name.is_empty());
        let (id, username, names) = match (&message.sender_chat, &message.from) {
            (Some(chat), _) if chat.id.is_some() => {
                (chat.id?, filled(&chat.username), vec![chat.title.as_deref()])
            }
            (_, Some(user)) => {
                let names = vec![user.first_name.as_deref(), user.last_name.as_deref()];
                (user.id?, filled(&user.username), names)
            }
            _ => return None,
        };
        let name: Vec<String> = names.into_iter().flatten().map(one_line).collect();
        let name: String = one_line(&name.join(" ")).chars().take(MAX_NAME_CHARS).collect();
        let unique = username.as_ref().map_or_else(|| format!("id {id}"), |name| format!("@{name}"));
        Some(Self { id, username, name: format!("{name} ({unique})").trim_start().to_owned() })
    }
}

/// Telegram gives users positive ids and groups negative ones. The sign replaces a missing type.
fn kind_by_id(chat_id: i64) -> &'static str {
    if chat_id > 0 { "private" } else { "group" }
}

fn metadata(bot: &BotIdentity, who: &Origin, message: &Message) -> BTreeMap<String, String> {
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
    if message.sender_chat.is_some() {
        put("telegramSenderChatId", who.user_id.to_string());
    }
    if let Some(media) = message.media() {
        put("telegramMediaType", media.kind.as_str().to_owned());
        if let Some(file_id) = media.file.file_id.clone().filter(|id| !id.is_empty()) {
            put(media.file_id_key, file_id);
        }
        if let Some(file_id) = media.file.file_unique_id.filter(|id| !id.is_empty()) {
            put(FILE_UNIQUE_ID, file_id);
        }
    }
    if let Some(id) = message.replied_to() {
        put("telegramReplyToMessageId", id.to_string());
    }
    if let Some(text) = message.reply_text() {
        put("telegramReplyText", text);
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
    Stop { bot: Option<String> },
}

impl Word<'_> {
    fn by(self, origin: Origin) -> Ingress {
        match self {
            Word::Start(code) => Ingress::PairingStart { code: code.to_owned(), origin },
            Word::BareStart { malformed } => Ingress::BareStart { malformed, origin },
            Word::Stop { bot } => Ingress::Stop { origin, by: StopBy::Command { bot } },
        }
    }
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
    argument(text, "/stop").filter(|rest| rest.trim().is_empty())?;
    Some(Word::Stop { bot: text.trim_end().strip_prefix("/stop@").map(str::to_owned) })
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
mod kind_tests;
#[cfg(test)]
mod tests;
