//! Media: files that an agent makes or fetches while it works, and files that people send to it.
//!
//! A file belongs to one conversation: for an agent's file, the conversation that its worker is assigned to.
//! Only the worker of that conversation may read it. The served content is exactly the announced content. A
//! file is uploaded once or never, and is deleted when it expires.

use crate::ids::{ContentType, ConversationId, StorageId, WorkerId};
use crate::snapshot::Stored;
use crate::time::{Millis, Timestamp};

/// The largest file. It is far above what a message can transport.
pub const MAX_SIZE_BYTES: u64 = 256 * 1024 * 1024;
/// The longest retention of a file, regardless of the policy. One day later, the bucket's lifecycle rule
/// deletes it.
pub const MAX_KEPT: Millis = Millis::from_days(365);

/// A media file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// The storage id. It contains the conversation key.
    pub id: StorageId,
    /// The conversation that the file belongs to.
    pub conversation: ConversationId,
    /// The worker that announced the file; `None` for a file sent by a person.
    pub worker: Option<WorkerId>,
    /// The announced size and SHA-256.
    pub content: Stored,
    /// The media type.
    pub content_type: Option<ContentType>,
    /// When the file was announced.
    pub created_at: Timestamp,
    /// When the file expires.
    pub expires_at: Timestamp,
}

impl Media {
    /// Returns when a file expires that is announced at `now` and has this retention.
    pub fn expiry(now: Timestamp, kept: Millis) -> Timestamp {
        now + kept.min(MAX_KEPT)
    }

    /// Whether the file has expired.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_expires_by_its_retention_and_before_the_bucket_deletes_it() {
        let now = Timestamp::from_millis(1_000);
        assert_eq!(Media::expiry(now, Millis::from_days(7)), now + Millis::from_days(7));
        assert_eq!(Media::expiry(now, Millis::from_days(3_650)), now + MAX_KEPT);
    }
}
