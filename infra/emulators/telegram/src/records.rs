//! The events of the journal, and the entries that control routes list.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// An event: one line of the journal.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum Event {
    /// A bot was created, or its token or name was changed.
    Bot { id: i64, token: String, username: String, last_update_id: u64 },
    /// A bot may manage bots, or is managed by another bot for its owner.
    Management { id: i64, can_manage_bots: bool, manager: Option<i64>, owner: Option<i64> },
    /// A bot's webhook was set or deleted.
    Webhook { bot_id: i64, webhook: Option<Webhook> },
    /// The highest message id of a chat. It is stored even when its messages are not.
    Chat { bot_id: i64, chat_id: i64, last_message_id: i64 },
    /// A user sent a message.
    Update(UpdateRecord),
    /// An update was delivered or given up.
    Settled { serial: u64, outcome: Outcome },
    /// A bot sent a message.
    Sent(OutboxMessage),
    /// A file can be downloaded.
    File(FileRecord),
}

/// The webhook of a bot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Webhook {
    pub url: String,
    pub secret_token: Option<String>,
    pub max_connections: u32,
    pub allowed_updates: Vec<String>,
}

/// The outcome of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    Delivered,
    GivenUp,
}

/// An update, with its number in the order of arrival (`serial`). Its `update_id` may repeat, as those of Telegram
/// may.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UpdateRecord {
    pub serial: u64,
    pub bot_id: i64,
    pub chat_id: i64,
    pub update_id: u64,
    pub message_id: Option<i64>,
    pub body: Value,
    pub outcome: Option<Outcome>,
    #[serde(skip)]
    pub attempts: u32,
    #[serde(skip)]
    pub last_status: Option<u16>,
}

/// The kind of a bot's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SentKind {
    /// `sendMessage`
    Text,
    /// `sendAudio`
    Audio,
    /// `sendDocument`
    Document,
}

/// A message that a bot sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutboxMessage {
    /// Its id within its chat.
    pub message_id: i64,
    /// The bot that sent it.
    pub bot_identity: String,
    /// The chat.
    pub chat_id: i64,
    /// The kind of the message.
    pub kind: SentKind,
    /// The text or caption as it was sent, including markup.
    pub text: String,
    /// The markup of the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parse_mode: Option<String>,
    /// The message to which it replies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to_message_id: Option<i64>,
    /// The forum topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_thread_id: Option<i64>,
    /// An uploaded file's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    /// An uploaded file's size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// The time in milliseconds since the epoch, by the clock of the emulator.
    pub at: u64,
}

/// A `sendChatAction`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatActionRecord {
    /// The bot.
    pub bot_identity: String,
    /// The chat.
    pub chat_id: i64,
    /// The action, such as `typing`.
    pub action: String,
    /// The time in milliseconds since the epoch, by the clock of the emulator.
    pub at: u64,
}

/// The newest state of a draft.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DraftRecord {
    /// The bot.
    pub bot_identity: String,
    /// The private chat.
    pub chat_id: i64,
    /// The id that the bot has chosen.
    pub draft_id: i64,
    /// The text as it was sent, or the placeholder.
    pub text: String,
    /// The topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_thread_id: Option<i64>,
    /// Whether the person can press a stop button.
    pub can_stop: bool,
    /// Whether the draft stays after the button is pressed.
    pub keep_on_stop: bool,
    /// The number of calls for this draft.
    pub changes: u64,
    /// The time of the last change in milliseconds since the epoch, by the clock of the emulator.
    pub at: u64,
    /// When the draft disappears, at the latest.
    pub shown_until: u64,
}

/// A file for `getFile`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FileRecord {
    pub bot_id: i64,
    pub file_id: String,
    /// As in the download URL: `documents/file_3.pdf`.
    pub path: String,
    pub size_bytes: u64,
}

impl UpdateRecord {
    /// The update as the control route shows it. Attempts and status are those of this process.
    pub(super) fn shown(&self) -> Value {
        let state = match self.outcome {
            None => "pending",
            Some(Outcome::Delivered) => "delivered",
            Some(Outcome::GivenUp) => "given_up",
        };
        json!({
            "updateId": self.update_id,
            "botIdentity": self.bot_id.to_string(),
            "chatId": self.chat_id,
            "state": state,
            "attempts": self.attempts,
            "lastStatus": self.last_status,
        })
    }
}
