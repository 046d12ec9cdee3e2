//! The events of the journal, and the entries that control routes list.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Something that happened: one line of the journal.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum Event {
    /// A bot was made, or got another token or name.
    Bot { id: i64, token: String, username: String, last_update_id: u64 },
    /// A bot's webhook was set or deleted.
    Webhook { bot_id: i64, webhook: Option<Webhook> },
    /// A chat's message ids went up to here (kept when the messages themselves are not).
    Chat { bot_id: i64, chat_id: i64, last_message_id: i64 },
    /// A user wrote.
    Update(UpdateRecord),
    /// An update was delivered or given up.
    Settled { serial: u64, outcome: Outcome },
    /// A bot sent something.
    Sent(OutboxMessage),
    /// A file can be downloaded.
    File(FileRecord),
}

/// Where a bot's updates go.
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

/// An update: what a user did, in order of arrival (`serial`). Its `update_id` may repeat, as Telegram's may.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UpdateRecord {
    pub serial: u64,
    pub bot_id: i64,
    pub chat_id: i64,
    pub update_id: u64,
    pub message_id: Option<i64>,
    pub body: Value,
    #[serde(default)]
    pub outcome: Option<Outcome>,
    #[serde(skip)]
    pub attempts: u32,
    #[serde(skip)]
    pub last_status: Option<u16>,
}

/// An update as the control route shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateView {
    /// Its id, sequential per bot.
    pub update_id: u64,
    /// Which bot it is for.
    pub bot_identity: String,
    /// Which chat it is of.
    pub chat_id: i64,
    /// `pending`, `delivered` or `given_up`.
    pub state: &'static str,
    /// Pushes to the webhook by this process.
    pub attempts: u32,
    /// The webhook's last answer to this process.
    pub last_status: Option<u16>,
}

/// What a bot sent.
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
    /// Who sent it.
    pub bot_identity: String,
    /// Where to.
    pub chat_id: i64,
    /// What kind of message.
    pub kind: SentKind,
    /// The text (or caption) as it was sent, markup and all.
    pub text: String,
    /// How the text is marked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parse_mode: Option<String>,
    /// The message that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to_message_id: Option<i64>,
    /// The forum topic it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_thread_id: Option<i64>,
    /// An uploaded file's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    /// An uploaded file's size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// When, in milliseconds since the epoch by the clock of the emulator.
    pub at: u64,
}

/// A `sendChatAction`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatActionRecord {
    /// Which bot.
    pub bot_identity: String,
    /// In which chat.
    pub chat_id: i64,
    /// `typing` and the like.
    pub action: String,
    /// When, in milliseconds since the epoch by the clock of the emulator.
    pub at: u64,
}

/// A file that `getFile` finds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FileRecord {
    pub bot_id: i64,
    pub file_id: String,
    /// As in the download URL: `documents/file_3.pdf`.
    pub path: String,
    pub size_bytes: u64,
}

impl UpdateView {
    /// How an update looks from outside.
    pub(super) fn of(update: &UpdateRecord) -> Self {
        Self {
            update_id: update.update_id,
            bot_identity: update.bot_id.to_string(),
            chat_id: update.chat_id,
            state: match update.outcome {
                None => "pending",
                Some(Outcome::Delivered) => "delivered",
                Some(Outcome::GivenUp) => "given_up",
            },
            attempts: update.attempts,
            last_status: update.last_status,
        }
    }
}
