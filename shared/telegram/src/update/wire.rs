//! The needed fields of an update, each parsed separately. A field of an unexpected type counts as absent.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Update {
    #[serde(deserialize_with = "lenient")]
    pub(super) update_id: Option<u64>,
    #[serde(deserialize_with = "object")]
    pub(super) message: Option<Message>,
    #[serde(deserialize_with = "object")]
    pub(super) edited_message: Option<Message>,
    #[serde(deserialize_with = "object")]
    pub(super) stopped_message_generation: Option<Stopped>,
    #[serde(deserialize_with = "object")]
    pub(super) managed_bot: Option<ManagedBotUpdated>,
}

/// A bot that the receiving bot manages was created, or its token or owner has changed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ManagedBotUpdated {
    #[serde(deserialize_with = "object")]
    pub(super) user: Option<User>,
    #[serde(deserialize_with = "object")]
    pub(super) bot: Option<User>,
}

/// A person has pressed the button that stops a draft.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Stopped {
    #[serde(deserialize_with = "object")]
    pub(super) chat: Option<Chat>,
    #[serde(deserialize_with = "lenient")]
    pub(super) message_thread_id: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Message {
    #[serde(deserialize_with = "lenient")]
    pub(super) message_id: Option<i64>,
    #[serde(deserialize_with = "lenient")]
    pub(super) message_thread_id: Option<i64>,
    #[serde(deserialize_with = "lenient")]
    pub(super) is_topic_message: Option<bool>,
    #[serde(deserialize_with = "object")]
    pub(super) from: Option<User>,
    #[serde(deserialize_with = "object")]
    pub(super) chat: Option<Chat>,
    #[serde(deserialize_with = "object")]
    pub(super) sender_chat: Option<Chat>,
    #[serde(deserialize_with = "object")]
    pub(super) reply_to_message: Option<Box<Message>>,
    #[serde(deserialize_with = "object")]
    pub(super) quote: Option<Quote>,
    #[serde(deserialize_with = "lenient")]
    pub(super) edit_date: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub(super) media_group_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) migrate_to_chat_id: Option<i64>,
    #[serde(deserialize_with = "lenient")]
    pub(super) migrate_from_chat_id: Option<i64>,
    #[serde(deserialize_with = "lenient")]
    pub(super) entities: Option<Vec<Value>>,
    #[serde(deserialize_with = "lenient")]
    pub(super) caption_entities: Option<Vec<Value>>,
    #[serde(deserialize_with = "lenient")]
    pub(super) text: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) caption: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) photo: Option<Vec<Value>>,
    #[serde(deserialize_with = "object")]
    pub(super) video: Option<File>,
    #[serde(deserialize_with = "object")]
    pub(super) animation: Option<File>,
    #[serde(deserialize_with = "object")]
    pub(super) video_note: Option<File>,
    #[serde(deserialize_with = "object")]
    pub(super) sticker: Option<File>,
    #[serde(deserialize_with = "object")]
    pub(super) audio: Option<File>,
    #[serde(deserialize_with = "object")]
    pub(super) voice: Option<File>,
    #[serde(deserialize_with = "object")]
    pub(super) document: Option<File>,
    #[serde(deserialize_with = "object")]
    pub(super) location: Option<Location>,
    #[serde(deserialize_with = "object")]
    pub(super) venue: Option<Venue>,
    #[serde(deserialize_with = "object")]
    pub(super) contact: Option<Contact>,
    #[serde(deserialize_with = "object")]
    pub(super) poll: Option<Poll>,
    #[serde(deserialize_with = "object")]
    pub(super) dice: Option<Dice>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct User {
    #[serde(deserialize_with = "lenient")]
    pub(super) id: Option<i64>,
    #[serde(deserialize_with = "lenient")]
    pub(super) first_name: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) last_name: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) username: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Chat {
    #[serde(deserialize_with = "lenient")]
    pub(super) id: Option<i64>,
    #[serde(rename = "type", deserialize_with = "lenient")]
    pub(super) kind: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) title: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) username: Option<String>,
}

/// The part of another message that the user quotes.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Quote {
    #[serde(deserialize_with = "lenient")]
    pub(super) text: Option<String>,
}

/// A special part of a text.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Entity {
    #[serde(rename = "type", deserialize_with = "lenient")]
    pub(super) kind: Option<String>,
    #[serde(deserialize_with = "object")]
    pub(super) user: Option<User>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Location {
    #[serde(deserialize_with = "lenient")]
    pub(super) latitude: Option<f64>,
    #[serde(deserialize_with = "lenient")]
    pub(super) longitude: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Venue {
    #[serde(deserialize_with = "lenient")]
    pub(super) title: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) address: Option<String>,
    #[serde(deserialize_with = "object")]
    pub(super) location: Option<Location>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Contact {
    #[serde(deserialize_with = "lenient")]
    pub(super) first_name: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) last_name: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) phone_number: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Poll {
    #[serde(deserialize_with = "lenient")]
    pub(super) question: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) options: Option<Vec<Value>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Dice {
    #[serde(deserialize_with = "lenient")]
    pub(super) emoji: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) value: Option<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct File {
    #[serde(deserialize_with = "lenient")]
    pub(super) file_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) file_unique_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) file_name: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) file_size: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub(super) mime_type: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) width: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub(super) height: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub(super) emoji: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) is_animated: Option<bool>,
    #[serde(deserialize_with = "lenient")]
    pub(super) is_video: Option<bool>,
}

/// Parses a field; a field of an unexpected type counts as absent.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).ok())
}

/// The same for a field that contains an object, because serde would also accept an array.
fn object<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(value.is_object().then(|| serde_json::from_value(value).ok()).flatten())
}
