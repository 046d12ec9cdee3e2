//! Attachments: files that a person sent with a message.
//!
//! ```text
//!            message accepted        fetched                   its time is over
//!   (none) ─────────────────▶ pending ───────▶ ready ─────────────────────────▶ expired
//!                                └── refused, too large, too late ──▶ failed
//! ```
//!
//! A message with pending attachments keeps its position in its conversation and is not claimed for up to
//! `MAX_WAIT`. After that, it runs without them. `ready` and `failed` are written once, for all attachments
//! of a message together. `expired` is derived from the clock and never written.

use crate::ids::{ContentType, StorageId};
use crate::named_enum;
use crate::time::{Millis, Timestamp};

/// How long a message waits for its attachments.
pub const MAX_WAIT: Millis = Millis::from_secs(60);
/// How long the first message of an album waits for the others. Telegram sends each picture of an album as an update of its
/// own, all within a second.
pub const ALBUM_WAIT: Millis = Millis::from_secs(2);
/// Most files of one album: the limit of Telegram.
pub const MAX_ALBUM_FILES: usize = 10;
/// The largest file that a bot can download from Telegram (Bot API, `getFile`).
pub const MAX_SIZE_BYTES: u64 = 20 * 1024 * 1024;

/// The reason of an attachment that was not fetched within `MAX_WAIT`.
pub const TOO_LATE: &str = "its message did not wait for it any longer";

named_enum! {
    /// The kind of an attachment.
    pub enum AttachmentKind {
        /// A photo, in its largest size.
        Photo = "photo",
        /// A video.
        Video = "video",
        /// A short video without sound.
        Animation = "animation",
        /// A round video message.
        VideoNote = "video_note",
        /// A picture from a collection.
        Sticker = "sticker",
        /// Music.
        Audio = "audio",
        /// A voice message.
        Voice = "voice",
        /// Any file.
        Document = "document",
    }
}

/// A file of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The kind of the attachment.
    pub kind: AttachmentKind,
    /// The Telegram file id. Only the bot that received the message can fetch the file with it.
    pub telegram_file_id: String,
    /// The file name given by the sender.
    pub file_name: Option<String>,
    /// The media type, if known.
    pub content_type: Option<ContentType>,
    /// The size: as reported by Telegram, and the actual size once the attachment is ready.
    pub size_bytes: Option<u64>,
    /// The state of the attachment.
    pub state: AttachmentState,
}

/// The state of an attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttachmentState {
    /// The attachment has not been fetched yet.
    Pending,
    /// The file is in the bucket.
    Ready {
        /// The storage id.
        storage: StorageId,
        /// When the file expires.
        expires_at: Timestamp,
    },
    /// The attachment could not be fetched.
    Failed {
        /// The reason.
        reason: String,
    },
}

impl Attachment {
    /// The status as shown: `pending`, `ready`, `expired` or `failed`.
    pub fn status(&self, now: Timestamp) -> &'static str {
        match &self.state {
            AttachmentState::Pending => "pending",
            AttachmentState::Ready { expires_at, .. } if *expires_at <= now => "expired",
            AttachmentState::Ready { .. } => "ready",
            AttachmentState::Failed { .. } => "failed",
        }
    }

    /// Whether the attachment must still be fetched.
    pub fn is_pending(&self) -> bool {
        self.state == AttachmentState::Pending
    }

    /// The attachment as received from Telegram. It is pending, or failed if it is known to be larger than a
    /// bot can download.
    #[must_use]
    pub fn received(self) -> Self {
        match self.size_bytes {
            Some(bytes) if bytes > MAX_SIZE_BYTES => self.failed(too_large(bytes)),
            _ => Self { state: AttachmentState::Pending, ..self },
        }
    }

    /// Returns the attachment in state `Failed`.
    #[must_use]
    pub fn failed(self, reason: String) -> Self {
        Self { state: AttachmentState::Failed { reason }, ..self }
    }
}

/// The reason why a file of this size is not fetched.
pub fn too_large(bytes: u64) -> String {
    format!("it is {bytes} bytes; a bot can download at most {MAX_SIZE_BYTES}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attachment(size_bytes: Option<u64>) -> Attachment {
        Attachment {
            kind: AttachmentKind::Photo,
            telegram_file_id: "id".into(),
            file_name: None,
            content_type: None,
            size_bytes,
            state: AttachmentState::Pending,
        }
    }

    #[test]
    fn every_kind_survives_being_stored() {
        for kind in AttachmentKind::ALL {
            assert_eq!(AttachmentKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(AttachmentKind::parse("tune"), None);
    }

    #[test]
    fn an_attachment_too_large_to_download_fails_on_arrival() {
        let now = Timestamp::from_millis(1);
        assert_eq!(attachment(Some(MAX_SIZE_BYTES)).received().status(now), "pending");
        assert_eq!(attachment(None).received().status(now), "pending");
        assert_eq!(attachment(Some(MAX_SIZE_BYTES + 1)).received().status(now), "failed");
    }

    #[test]
    fn an_attachment_expires_by_the_clock_without_a_write() {
        let expires_at = Timestamp::from_millis(5);
        let storage = StorageId::parse("abcdefghijklmnopqrstuvwx23.01ARZ3NDEKTSV4RRFFQ69G5FAV").unwrap();
        let ready = Attachment { state: AttachmentState::Ready { storage, expires_at }, ..attachment(None) };
        assert_eq!(ready.status(Timestamp::from_millis(4)), "ready");
        assert_eq!(ready.status(expires_at), "expired");
    }
}
