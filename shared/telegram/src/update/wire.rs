//! The needed fields of an update, each parsed separately. A field of an unexpected type counts as absent.

use af_domain::attachment::{Attachment, AttachmentKind, AttachmentState};
use af_domain::ids::ContentType;
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
    pub(super) reply_to_message: Option<Replied>,
    #[serde(deserialize_with = "lenient")]
    pub(super) text: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) caption: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) photo: Option<Vec<Value>>,
    #[serde(deserialize_with = "object")]
    pub(super) video: Option<File>,
    #[serde(deserialize_with = "object")]
    pub(super) audio: Option<File>,
    #[serde(deserialize_with = "object")]
    pub(super) voice: Option<File>,
    #[serde(deserialize_with = "object")]
    pub(super) document: Option<File>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct User {
    #[serde(deserialize_with = "lenient")]
    pub(super) id: Option<i64>,
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
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Replied {
    #[serde(deserialize_with = "lenient")]
    pub(super) message_id: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct File {
    #[serde(deserialize_with = "lenient")]
    pub(super) file_id: Option<String>,
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

/// The media of a message.
pub(super) struct Media {
    pub(super) kind: AttachmentKind,
    pub(super) file_id_key: &'static str,
    pub(super) file: File,
}

/// Longest stored file name. People read it; files are not looked up by it.
const MAX_FILE_NAME_CHARS: usize = 200;
/// Longest accepted file id. Telegram's ids are shorter than 100 bytes.
const MAX_FILE_ID_BYTES: usize = 1_024;

impl Media {
    /// Returns the attachment, if the bot can fetch it.
    pub(super) fn attachment(self) -> Option<Attachment> {
        let is_id = |id: &String| (1..=MAX_FILE_ID_BYTES).contains(&id.len());
        let attachment = Attachment {
            kind: self.kind,
            telegram_file_id: self.file.file_id.filter(is_id)?,
            file_name: self.file.file_name.map(safe_file_name).filter(|name| !name.is_empty()),
            content_type: self.file.mime_type.and_then(|text| ContentType::parse(text).ok()),
            size_bytes: self.file.file_size,
            state: AttachmentState::Pending,
        };
        Some(attachment.received())
    }
}

/// Returns a file name in one line, without invisible characters and folders, and limited in length. A worker
/// may write a file with this name.
fn safe_file_name(name: String) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let shown: String = last.chars().filter(|c| !is_invisible(*c)).take(MAX_FILE_NAME_CHARS).collect();
    let shown = shown.trim();
    if matches!(shown, "." | "..") { String::new() } else { shown.to_owned() }
}

/// Whether the character is a control character, or one that changes the display of others.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

impl Message {
    pub(super) fn media(&self) -> Option<Media> {
        let of = |kind, file_id_key, file: Option<File>| file.map(|file| Media { kind, file_id_key, file });
        of(AttachmentKind::Photo, "telegramPhotoFileId", self.largest_photo())
            .or_else(|| of(AttachmentKind::Video, "telegramVideoFileId", self.video.clone()))
            .or_else(|| of(AttachmentKind::Audio, "telegramAudioFileId", self.audio.clone()))
            .or_else(|| of(AttachmentKind::Voice, "telegramVoiceFileId", self.voice.clone()))
            .or_else(|| of(AttachmentKind::Document, "telegramDocumentFileId", self.document.clone()))
    }

    /// A photo is sent in several sizes. The largest one is the original.
    fn largest_photo(&self) -> Option<File> {
        let sizes = self
            .photo
            .iter()
            .flatten()
            .filter(|size| size.is_object())
            .filter_map(|size| serde_json::from_value::<File>(size.clone()).ok());
        sizes.max_by_key(|size| {
            (size.width.unwrap_or(0).saturating_mul(size.height.unwrap_or(0)), size.file_size.unwrap_or(0))
        })
    }

    pub(super) fn readable_text(&self) -> Option<String> {
        let written = [&self.text, &self.caption].into_iter().flatten().find(|text| !text.trim().is_empty());
        if let Some(text) = written {
            return Some(text.clone());
        }
        self.media().map(|media| match media.file.file_name.filter(|name| !name.trim().is_empty()) {
            Some(name) => format!("[{}: {name}]", media.kind.as_str()),
            None => format!("[{}]", media.kind.as_str()),
        })
    }

    /// Returns the message that the user replied to. In a forum topic every message formally replies to the
    /// topic's first message, which adds nothing to the thread id.
    pub(super) fn replied_to(&self) -> Option<i64> {
        let id = self.reply_to_message.as_ref()?.message_id?;
        let topic_root = self.is_topic_message == Some(true) && self.message_thread_id == Some(id);
        (!topic_root).then_some(id)
    }
}
