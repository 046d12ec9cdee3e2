//! Attachments: files that a person sent with a message.
//!
//! ```text
//!            message accepted        fetched                   its time is over
//!   (none) ─────────────────▶ pending ───────▶ ready ─────────────────────────▶ expired
//!                                └── refused, too large, too late ──▶ failed
//! ```
//!
//! A message whose attachments are pending keeps its place in its conversation and is not claimed, for `MAX_WAIT` at
//! most; then it goes on without them. `ready` and `failed` are written once, all attachments of a message together;
//! `expired` is derived from the clock, so that nothing is written when it comes.

use crate::ids::{ContentType, StorageId};
use crate::time::{Millis, Timestamp};

/// How long a message waits for its attachments.
pub const MAX_WAIT: Millis = Millis::from_secs(60);
/// The largest file that a bot can download from Telegram (Bot API, `getFile`).
pub const MAX_SIZE_BYTES: u64 = 20 * 1024 * 1024;

/// Why an attachment failed that did not come within `MAX_WAIT`.
pub const TOO_LATE: &str = "its message did not wait for it any longer";

/// What kind of file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachmentKind {
    /// A photo, in the largest of its sizes.
    Photo,
    /// A video.
    Video,
    /// Music.
    Audio,
    /// A spoken message.
    Voice,
    /// Any file.
    Document,
}

impl AttachmentKind {
    const ALL: [Self; 5] = [Self::Photo, Self::Video, Self::Audio, Self::Voice, Self::Document];

    /// The kind as it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            AttachmentKind::Photo => "photo",
            AttachmentKind::Video => "video",
            AttachmentKind::Audio => "audio",
            AttachmentKind::Voice => "voice",
            AttachmentKind::Document => "document",
        }
    }

    /// Reads a kind.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// One file of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// What kind of file it is.
    pub kind: AttachmentKind,
    /// What the bot that got the message fetches it by; no other bot can.
    pub telegram_file_id: String,
    /// The name that the sender gave it.
    pub file_name: Option<String>,
    /// What it is, as far as that is known.
    pub content_type: Option<ContentType>,
    /// Its size: what Telegram said, and what came once it is ready.
    pub size_bytes: Option<u64>,
    /// Where it stands.
    pub state: AttachmentState,
}

/// Where an attachment stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttachmentState {
    /// It has not been fetched yet.
    Pending,
    /// It lies in the bucket.
    Ready {
        /// Under which id.
        storage: StorageId,
        /// Until when.
        expires_at: Timestamp,
    },
    /// It could not be fetched.
    Failed {
        /// Why.
        reason: String,
    },
}

impl Attachment {
    /// Where it stands, in the system's words: `pending`, `ready`, `expired` or `failed`.
    pub fn status(&self, now: Timestamp) -> &'static str {
        match &self.state {
            AttachmentState::Pending => "pending",
            AttachmentState::Ready { expires_at, .. } if *expires_at <= now => "expired",
            AttachmentState::Ready { .. } => "ready",
            AttachmentState::Failed { .. } => "failed",
        }
    }

    /// Whether it is still to be fetched.
    pub fn is_pending(&self) -> bool {
        self.state == AttachmentState::Pending
    }

    /// The attachment as it came from Telegram: pending, unless it is known to be larger than a bot can download.
    #[must_use]
    pub fn as_it_came(self) -> Self {
        match self.size_bytes {
            Some(bytes) if bytes > MAX_SIZE_BYTES => self.failed(too_large(bytes)),
            _ => Self { state: AttachmentState::Pending, ..self },
        }
    }

    /// The attachment, given up.
    #[must_use]
    pub fn failed(self, reason: String) -> Self {
        Self { state: AttachmentState::Failed { reason }, ..self }
    }
}

/// Why a file of this size is not fetched.
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
    fn every_kind_is_read_back() {
        for kind in AttachmentKind::ALL {
            assert_eq!(AttachmentKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(AttachmentKind::parse("sticker"), None);
    }

    #[test]
    fn what_a_bot_cannot_download_has_failed_when_it_comes() {
        let now = Timestamp::from_millis(1);
        assert_eq!(attachment(Some(MAX_SIZE_BYTES)).as_it_came().status(now), "pending");
        assert_eq!(attachment(None).as_it_came().status(now), "pending");
        assert_eq!(attachment(Some(MAX_SIZE_BYTES + 1)).as_it_came().status(now), "failed");
    }

    #[test]
    fn an_attachment_expires_by_the_clock_alone() {
        let expires_at = Timestamp::from_millis(5);
        let storage = StorageId::parse("abcdefghijklmnopqrstuvwx23.01ARZ3NDEKTSV4RRFFQ69G5FAV").unwrap();
        let ready = Attachment { state: AttachmentState::Ready { storage, expires_at }, ..attachment(None) };
        assert_eq!(ready.status(Timestamp::from_millis(4)), "ready");
        assert_eq!(ready.status(expires_at), "expired");
    }
}
