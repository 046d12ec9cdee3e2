//! The message of a user, and its update in the form of Telegram.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::sending::chat_type;

/// A message that a user sends to a bot.
#[derive(Debug)]
pub(super) struct Arrival {
    pub bot: i64,
    pub chat_id: i64,
    pub user_id: i64,
    pub text: String,
    /// Without `@`.
    pub username: Option<String>,
    /// `private`, `group` or `supergroup`; `None` derives it from the id of the chat.
    pub chat_type: Option<String>,
    /// The next id of the bot when `None`. An earlier id makes a duplicate, which Telegram may send as well.
    pub update_id: Option<u64>,
    /// An attached file, whose caption is `text`.
    pub file: Option<SentFile>,
    /// A raw update, which is pushed instead. A missing `update_id` is added.
    pub raw: Option<Value>,
}

impl Arrival {
    /// A raw update of `user`, which is ordered with those of the private chat of this user.
    pub fn of_raw(bot: i64, user: i64, raw: Value) -> Self {
        Self {
            bot,
            chat_id: user,
            user_id: user,
            text: String::new(),
            username: None,
            chat_type: None,
            update_id: None,
            file: None,
            raw: Some(raw),
        }
    }
}

/// A file that a user sends.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SentFile {
    kind: FileKind,
    /// From the response to the upload of the file.
    file_id: String,
    /// The name that the user gave it; a photo has none.
    file_name: Option<String>,
    /// Telegram leaves it out for a photo.
    mime_type: Option<String>,
}

/// The kind of a sent file, which is the name of its field in the message.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FileKind {
    /// In one size.
    Photo,
    Video,
    Animation,
    VideoNote,
    Sticker,
    Audio,
    Voice,
    Document,
}

impl SentFile {
    /// The field of the message, and its value.
    fn field(&self) -> (&'static str, Value) {
        let mut file = json!({"file_id": self.file_id, "file_unique_id": self.file_id});
        let name = match self.kind {
            FileKind::Photo => {
                (file["width"], file["height"]) = (90.into(), 90.into());
                return ("photo", json!([file]));
            }
            FileKind::Video => "video",
            FileKind::Animation => "animation",
            FileKind::VideoNote => "video_note",
            FileKind::Sticker => "sticker",
            FileKind::Audio => "audio",
            FileKind::Voice => "voice",
            FileKind::Document => "document",
        };
        for (field, value) in [("file_name", &self.file_name), ("mime_type", &self.mime_type)] {
            if let Some(value) = value {
                file[field] = value.as_str().into();
            }
        }
        (name, file)
    }
}

/// The outcome of the first push of a message.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pushed {
    pub update_id: u64,
    /// The first answer of the webhook; `None` without a webhook or an answer, or while an earlier update of the
    /// chat is still on its way.
    pub status: Option<u16>,
    /// The body of the answer, as JSON where it is JSON.
    pub body: Value,
    /// The reason why there is no status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Returns the JSON of the update, and the message id that it uses.
pub(super) fn body_of(arrival: Arrival, update_id: u64, message_id: i64, date: u64) -> (Value, Option<i64>) {
    if let Some(mut raw) = arrival.raw {
        if raw.is_object() && raw.get("update_id").is_none() {
            raw["update_id"] = update_id.into();
        }
        let used = raw["message"]["message_id"].as_i64();
        return (raw, used);
    }
    let kind = arrival.chat_type.as_deref().unwrap_or_else(|| chat_type(arrival.chat_id));
    let name = arrival.username.clone().unwrap_or_else(|| format!("user{}", arrival.user_id));
    let mut from = json!({"id": arrival.user_id, "is_bot": false, "first_name": name, "language_code": "en"});
    let mut chat = json!({"id": arrival.chat_id, "type": kind});
    if let Some(username) = &arrival.username {
        from["username"] = username.as_str().into();
    }
    if kind == "private" {
        chat["first_name"] = from["first_name"].clone();
    } else {
        chat["title"] = format!("Group {}", arrival.chat_id).into();
    }
    let mut message = json!({
        "message_id": message_id, "from": from, "chat": chat, "date": date, "text": arrival.text,
    });
    if let Some(file) = &arrival.file {
        let (field, value) = file.field();
        message[field] = value;
        message.as_object_mut().map(|message| message.remove("text"));
        if !arrival.text.is_empty() {
            message["caption"] = arrival.text.as_str().into();
        }
    } else if arrival.text.starts_with('/') {
        let command = arrival.text.split_whitespace().next().unwrap_or_default();
        let length = command.encode_utf16().count();
        message["entities"] = json!([{"offset": 0, "length": length, "type": "bot_command"}]);
    }
    (json!({"update_id": update_id, "message": message}), Some(message_id))
}
