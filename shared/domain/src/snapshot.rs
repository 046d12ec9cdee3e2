//! A snapshot: the archive of a worker's files, which the conversation's next worker begins with.
//!
//! ```text
//!   (none) ──prepare──▶ uploading ──finalize──▶ ready ──replaced, and old enough──▶ expired
//!                           └──fail, or never finalized──▶ failed
//! ```
//!
//! Invariants: a snapshot belongs to one conversation and to the fence of the last claim before it was prepared; it
//! becomes ready only while that fence is its conversation's newest and its worker owns the conversation, so `latest`
//! moves only forward; what is ready is what was announced, byte for byte; the latest one never expires. A worker of the
//! compatible face announces with its upload, any other before it.
//!
//! A worker that has claimed owes a final snapshot: until it is settled, nobody else gets the conversation, for
//! another worker would begin with older files.
//!
//! Failures: an upload that is never finalized fails when its URL has long expired. A worker that dies without a
//! snapshot costs the files since the latest one, not what was said: history is not in the files.

use crate::conversation::{Conversation, OwnerState};
use crate::ids::{AgentKey, ConversationId, Fence, Sha256Hex, SnapshotId, WorkerId};
use crate::policy::Policies;
use crate::time::{Millis, Timestamp};

/// How long the URL of an upload or a download is good. The longest that workers are promised.
pub const URL_GOOD_FOR: Millis = Millis::from_secs(15 * 60);
/// When an upload that was not finalized is given up: an upload may begin at its URL's very end, and take a while.
pub const ABANDONED_AFTER: Millis = Millis::from_secs(2 * 60 * 60);
/// The largest archive: S3 takes no more in one PUT.
pub const MAX_SIZE_BYTES: u64 = 5 * 1024 * 1024 * 1024;
/// What archives look like: a gzipped tar of the data folder.
pub const FORMAT_VERSION: u64 = 1;
/// Most characters of the reason why an upload failed.
const MAX_ERROR_CHARS: usize = 2_000;

/// Why a snapshot is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotReason {
    /// The worker was told to leave, or to let go of the conversation.
    Drain,
    /// The worker's machine is being stopped.
    Signal,
    /// The worker wants one.
    Manual,
}

impl SnapshotReason {
    /// The reason as it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            SnapshotReason::Drain => "drain",
            SnapshotReason::Signal => "signal",
            SnapshotReason::Manual => "manual",
        }
    }

    /// Reads a reason.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Drain, Self::Signal, Self::Manual].into_iter().find(|r| r.as_str() == text)
    }

    /// Whether it is its worker's last one: a draining worker's conversation is freed with it.
    pub const fn is_final(self) -> bool {
        matches!(self, SnapshotReason::Drain | SnapshotReason::Signal)
    }
}

/// Where a snapshot stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotStatus {
    /// Its worker was given a URL.
    Uploading,
    /// It can be restored.
    Ready {
        /// Since when.
        completed_at: Timestamp,
    },
    /// It never came about.
    Failed {
        /// Why.
        error: String,
    },
    /// A newer one has replaced it, and its time is over.
    Expired,
}

impl SnapshotStatus {
    /// The status in the system's words.
    pub const fn name(&self) -> &'static str {
        match self {
            SnapshotStatus::Uploading => "uploading",
            SnapshotStatus::Ready { .. } => "ready",
            SnapshotStatus::Failed { .. } => "failed",
            SnapshotStatus::Expired => "expired",
        }
    }
}

/// One snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its id; carries the conversation's key and the fence.
    pub id: SnapshotId,
    /// The conversation whose files it holds.
    pub conversation: ConversationId,
    /// That conversation's agent.
    pub agent: AgentKey,
    /// Who made it.
    pub worker: WorkerId,
    /// Why.
    pub reason: SnapshotReason,
    /// The archive as it was announced; `None` while its worker has not said what it will be.
    pub content: Option<Stored>,
    /// Where it stands.
    pub status: SnapshotStatus,
    /// When it was prepared.
    pub created_at: Timestamp,
    /// When it may go: an upload that is not finalized is given up then; of what is ready, the latest one stays.
    pub expires_at: Timestamp,
}

/// What is, or shall be, in the bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its size.
    pub size_bytes: u64,
    /// Its SHA-256.
    pub sha256: Sha256Hex,
}

/// Why a conversation's worker may not make a snapshot now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotRefusal {
    /// The conversation is not its own.
    #[error("the conversation is not this worker's")]
    NotOwner,
    /// It has claimed nothing since it got the conversation: what it has is what it restored, or less.
    #[error(
        "this worker has claimed no message since it got the conversation, so there is nothing new to keep"
    )]
    NothingClaimed,
    /// A message runs.
    #[error("a message runs; complete or fail it first, files that change cannot be archived")]
    Busy,
}

/// Why a snapshot does not become ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FinalizeRefusal {
    /// Another claim has been made since, or the conversation is not its worker's any more.
    #[error("the conversation has moved on since this snapshot was prepared")]
    Superseded,
    /// It has failed or expired.
    #[error("the snapshot is {0} and stays so")]
    Over(&'static str),
    /// What is in the bucket is something else.
    #[error("what was uploaded is not what was announced")]
    Mismatch,
}

impl Snapshot {
    /// Becomes ready, when it is still wanted and what is `stored` is what was announced. One that is ready already
    /// stays as it is: its finalization came twice.
    ///
    /// # Errors
    /// Why it does not.
    pub fn finalize(
        &self,
        stored: &Stored,
        conversation: &Conversation,
        now: Timestamp,
        policies: &Policies,
    ) -> Result<Snapshot, FinalizeRefusal> {
        match &self.status {
            SnapshotStatus::Ready { .. } => return Ok(self.clone()),
            SnapshotStatus::Uploading => {}
            other => return Err(FinalizeRefusal::Over(other.name())),
        }
        if !self.is_current(conversation) {
            return Err(FinalizeRefusal::Superseded);
        }
        if self.content.as_ref() != Some(stored) {
            return Err(FinalizeRefusal::Mismatch);
        }
        let status = SnapshotStatus::Ready { completed_at: now };
        Ok(Snapshot { status, expires_at: now + policies.retention.snapshot, ..self.clone() })
    }

    /// The snapshot, failed for this reason; `None` unless it is being uploaded.
    #[must_use]
    pub fn fail(&self, error: &str) -> Option<Snapshot> {
        let error = error.chars().take(MAX_ERROR_CHARS).collect();
        let failed = || Snapshot { status: SnapshotStatus::Failed { error }, ..self.clone() };
        (self.status == SnapshotStatus::Uploading).then(failed)
    }

    /// The snapshot as it is when its time is over and it is not its conversation's latest.
    #[must_use]
    pub fn expire(&self) -> Snapshot {
        match self.status {
            SnapshotStatus::Uploading => self.fail("it was never finalized").unwrap_or_else(|| self.clone()),
            SnapshotStatus::Ready { .. } => Snapshot { status: SnapshotStatus::Expired, ..self.clone() },
            SnapshotStatus::Failed { .. } | SnapshotStatus::Expired => self.clone(),
        }
    }

    /// Whether its fence is still its conversation's newest and its worker the owner.
    pub fn is_current(&self, conversation: &Conversation) -> bool {
        let owns = conversation.owner.as_ref().is_some_and(|o| o.worker == self.worker);
        owns && conversation.fence == self.id.parts().fence
    }
}

impl Conversation {
    /// The fence that a snapshot of `worker` would be of.
    ///
    /// # Errors
    /// Why it may make none now.
    pub fn snapshot_fence(&self, worker: &WorkerId, now: Timestamp) -> Result<Fence, SnapshotRefusal> {
        let owner = self.owner.as_ref().filter(|o| &o.worker == worker).ok_or(SnapshotRefusal::NotOwner)?;
        if owner.claimed_at.is_none() {
            return Err(SnapshotRefusal::NothingClaimed);
        }
        // An expired lease is nobody's any more, although it has not been recovered yet.
        if self.lease.as_ref().is_some_and(|l| l.expires_at > now) {
            return Err(SnapshotRefusal::Busy);
        }
        Ok(self.fence)
    }

    /// Whether its owner has files that no snapshot holds: it has claimed since the last one.
    pub fn owes_snapshot(&self) -> bool {
        self.owner.as_ref().is_some_and(|o| o.claimed_at.is_some() && o.snapshot_fence != Some(self.fence))
    }

    /// The conversation, whose owner has a snapshot of its files as they are now.
    #[must_use]
    pub fn with_snapshot(&self) -> Conversation {
        let mut after = self.clone();
        after.version += 1;
        if let Some(owner) = &mut after.owner {
            owner.snapshot_fence = Some(self.fence);
        }
        after
    }

    /// Whether its owner leaves and runs nothing any more: with its final snapshot, the conversation is free.
    pub fn is_being_left(&self) -> bool {
        self.lease.is_none() && self.owner.as_ref().is_some_and(|o| o.state == OwnerState::Draining)
    }
}

#[cfg(test)]
mod tests;
