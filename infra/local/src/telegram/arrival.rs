//! What a user does, and the update that Telegram would make of it.

use serde::Serialize;
use serde_json::{Value, json};

use super::sending::chat_type;

/// A user's doing that shall reach a bot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arrival {
    /// For which bot.
    pub bot: i64,
    /// In which chat.
    pub chat_id: i64,
    /// Who wrote.
    pub user_id: i64,
    /// What.
    pub text: String,
    /// Their name without `@`.
    pub username: Option<String>,
    /// `private`, `group` or `supergroup`; by the chat's id when `None`.
    pub chat_type: Option<String>,
    /// The bot's next one when `None`. Giving an earlier one again makes a duplicate, as Telegram may.
    pub update_id: Option<u64>,
    /// A whole update to push as it is instead (with an `update_id` put in where it has none).
    pub raw: Option<Value>,
}

/// What became of an arrival at first.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pushed {
    /// The update's id.
    pub update_id: u64,
    /// What the webhook answered first; `None` when there is no webhook, it gave no answer, or an earlier update
    /// of the chat is still on its way.
    pub status: Option<u16>,
    /// The answer's body, as JSON where it is that.
    pub body: Value,
    /// Why there is no status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The update's JSON and the message id that it uses up.
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
    if arrival.text.starts_with('/') {
        let command = arrival.text.split_whitespace().next().unwrap_or_default();
        let length = command.encode_utf16().count();
        message["entities"] = json!([{"offset": 0, "length": length, "type": "bot_command"}]);
    }
    (json!({"update_id": update_id, "message": message}), Some(message_id))
}
