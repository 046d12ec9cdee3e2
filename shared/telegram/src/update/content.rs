//! The content of a message: its files, its readable text, and the message that it replies to.

use af_domain::attachment::{Attachment, AttachmentKind, AttachmentState};
use af_domain::ids::{BotIdentity, ContentType};
use serde_json::Value;

use super::wire::{Entity, File, Location, Message};

/// The media of a message.
pub(super) struct Media {
    pub(super) kind: AttachmentKind,
    pub(super) file_id_key: &'static str,
    pub(super) file: File,
}

/// The longest text of a replied message that is kept.
const MAX_REPLY_CHARS: usize = 1_000;
/// Longest stored file name. People read it; files are not looked up by it.
const MAX_FILE_NAME_CHARS: usize = 200;
/// Longest accepted file id. Telegram's ids are shorter than 100 bytes.
const MAX_FILE_ID_BYTES: usize = 1_024;

impl Media {
    /// Returns the attachment, if the bot can fetch it.
    pub(super) fn attachment(self) -> Option<Attachment> {
        // An animated sticker is a drawing in a format of Telegram that no agent can read.
        if self.file.is_animated == Some(true) {
            return None;
        }
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

    fn name(&self) -> String {
        let kind = self.kind.as_str().replace('_', " ");
        match (&self.file.file_name, clean(&self.file.emoji)) {
            (Some(name), _) if !name.trim().is_empty() => format!("[{kind}: {name}]"),
            (_, Some(emoji)) => format!("[{kind} {emoji}]"),
            _ => format!("[{kind}]"),
        }
    }
}

impl Location {
    /// Returns the place with six decimals at most, which is ten centimetres; `None` outside of the earth.
    fn readable(&self) -> Option<String> {
        let within = |degrees: Option<f64>, limit: f64| degrees.filter(|d| d.abs() <= limit);
        let rounded = |degrees: f64| (degrees * 1e6).round() / 1e6;
        let (latitude, longitude) = (within(self.latitude, 90.0)?, within(self.longitude, 180.0)?);
        Some(format!("{}, {}", rounded(latitude), rounded(longitude)))
    }
}

/// Returns `[kind part part …]` of the parts that exist.
fn named<const N: usize>(kind: &str, parts: [Option<String>; N], between: &str) -> Option<String> {
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    Some(if parts.is_empty() { format!("[{kind}]") } else { format!("[{kind} {}]", parts.join(between)) })
}

fn clean(text: &Option<String>) -> Option<String> {
    text.as_deref().map(one_line).filter(|text| !text.is_empty())
}

/// Returns a text in one line, without invisible characters.
pub(super) fn one_line(text: &str) -> String {
    let spaced = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c });
    // The zero-width joiner makes one emoji of several.
    let shown: String = spaced.filter(|c| *c == '\u{200d}' || !is_invisible(*c)).collect();
    shown.trim().to_owned()
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
        // An animation is also sent as a document, for old clients.
        of(AttachmentKind::Photo, "telegramPhotoFileId", self.largest_photo())
            .or_else(|| of(AttachmentKind::Animation, "telegramAnimationFileId", self.animation.clone()))
            .or_else(|| of(AttachmentKind::Video, "telegramVideoFileId", self.video.clone()))
            .or_else(|| of(AttachmentKind::VideoNote, "telegramVideoNoteFileId", self.video_note.clone()))
            .or_else(|| of(AttachmentKind::Sticker, "telegramStickerFileId", self.sticker.clone()))
            .or_else(|| of(AttachmentKind::Audio, "telegramAudioFileId", self.audio.clone()))
            .or_else(|| of(AttachmentKind::Voice, "telegramVoiceFileId", self.voice.clone()))
            .or_else(|| of(AttachmentKind::Document, "telegramDocumentFileId", self.document.clone()))
    }

    /// Whether the message contains the location of a person who shares it for some time. Each move is an edit.
    pub(super) const fn is_location(&self) -> bool {
        self.location.is_some()
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

    /// Returns the text, the caption, or a readable name of the content; `None` for a content without meaning to an agent.
    pub(super) fn readable_text(&self) -> Option<String> {
        let written = [&self.text, &self.caption].into_iter().flatten().find(|text| !text.trim().is_empty());
        written.cloned().or_else(|| self.media().map(|media| media.name())).or_else(|| self.placeholder())
    }

    pub(super) fn is_written(&self) -> bool {
        [&self.text, &self.caption].into_iter().flatten().any(|text| !text.trim().is_empty())
    }

    /// Whether the user replied to a message of the bot.
    pub(super) fn replies_to(&self, bot: &BotIdentity) -> bool {
        let author = self.replied_to().and(self.reply_to_message.as_ref()).and_then(|m| m.from.as_ref());
        author.and_then(|user| user.id).is_some_and(|id| id.to_string() == bot.as_str())
    }

    /// Whether the text mentions the bot without its user name.
    pub(super) fn mentions(&self, bot: &BotIdentity) -> bool {
        let entities = [&self.entities, &self.caption_entities].into_iter().flatten().flatten();
        let mut entities = entities.filter_map(|e| serde_json::from_value::<Entity>(e.clone()).ok());
        entities.any(|e| {
            let user = e.user.filter(|_| e.kind.as_deref() == Some("text_mention")).and_then(|user| user.id);
            user.is_some_and(|id| id.to_string() == bot.as_str())
        })
    }

    fn placeholder(&self) -> Option<String> {
        if let Some(venue) = &self.venue {
            let location = venue.location.as_ref().and_then(Location::readable);
            return named("venue", [clean(&venue.title), clean(&venue.address), location], ", ");
        }
        if let Some(location) = &self.location {
            return named("location", [location.readable()], "");
        }
        if let Some(contact) = &self.contact {
            let parts = [&contact.first_name, &contact.last_name, &contact.phone_number];
            return named("contact", parts.map(clean), " ");
        }
        if let Some(poll) = &self.poll {
            let text = |option: &Value| option.get("text")?.as_str().map(one_line);
            let options: Vec<String> = poll.options.iter().flatten().filter_map(text).collect();
            let options = Some(options.join(" / ")).filter(|options| !options.is_empty());
            return named("poll", [clean(&poll.question), options], " ");
        }
        let dice = self.dice.as_ref()?;
        named("dice", [clean(&dice.emoji), dice.value.map(|value| value.to_string())], " ")
    }

    /// Returns the quoted part of the message that the user replied to, or its text, in at most [`MAX_REPLY_CHARS`]
    /// characters.
    pub(super) fn reply_text(&self) -> Option<String> {
        let quoted = self.quote.as_ref().and_then(|quote| quote.text.clone());
        let quoted = quoted.filter(|text| !text.trim().is_empty());
        let replied = || self.replied_to().and(self.reply_to_message.as_ref())?.readable_text();
        Some(quoted.or_else(replied)?.chars().take(MAX_REPLY_CHARS).collect())
    }

    /// Returns the message that the user replied to. In a forum topic every message formally replies to the
    /// topic's first message, which adds nothing to the thread id.
    pub(super) fn replied_to(&self) -> Option<i64> {
        let id = self.reply_to_message.as_ref()?.message_id?;
        let topic_root = self.is_topic_message == Some(true) && self.message_thread_id == Some(id);
        (!topic_root).then_some(id)
    }
}
