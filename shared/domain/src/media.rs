//! Media: files that an agent makes or fetches while it works, and those that people send it.
//!
//! A file belongs to one conversation, of an agent's that which its worker was assigned to, and only that conversation's
//! worker gets it. What is served is what was announced, byte for byte. Nothing is written a second time: a file comes, or never does, and
//! goes when its time is over.

use crate::ids::{ContentType, ConversationId, StorageId, WorkerId};
use crate::snapshot::Stored;
use crate::time::{Millis, Timestamp};

/// The largest file: what a message can carry to somebody is far below it.
pub const MAX_SIZE_BYTES: u64 = 256 * 1024 * 1024;
/// The longest that a file is kept, whatever the policy says: a day later the bucket removes it by itself.
pub const MAX_KEPT: Millis = Millis::from_days(365);

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// Its id; carries the conversation's key.
    pub id: StorageId,
    /// The conversation that it belongs to.
    pub conversation: ConversationId,
    /// The worker that announced it; `None` for what a person sent.
    pub worker: Option<WorkerId>,
    /// Its size and SHA-256, as announced.
    pub content: Stored,
    /// What it is.
    pub content_type: Option<ContentType>,
    /// When it was announced.
    pub created_at: Timestamp,
    /// When it goes.
    pub expires_at: Timestamp,
}

impl Media {
    /// When a file that comes at `now` and is to be kept for so long goes.
    pub fn expiry(now: Timestamp, kept: Millis) -> Timestamp {
        now + kept.min(MAX_KEPT)
    }

    /// Whether its time is over.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_kept_as_long_as_it_is_said_to_be_and_never_longer_than_the_bucket_keeps_it() {
        let now = Timestamp::from_millis(1_000);
        assert_eq!(Media::expiry(now, Millis::from_days(7)), now + Millis::from_days(7));
        assert_eq!(Media::expiry(now, Millis::from_days(3_650)), now + MAX_KEPT);
    }
}
