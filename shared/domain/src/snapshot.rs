//! A snapshot: the archive of a worker's files, which the next worker of the conversation restores.
//!
//! ```text
//!   (none) ──prepare──▶ uploading ──finalize──▶ ready ──replaced, and old enough──▶ expired
//!                           └──fail, or never finalized──▶ failed ◀──skip── ready
//! ```
//!
//! Invariants: a snapshot belongs to one conversation and to the fence of the last claim before it was
//! prepared. It becomes ready only while that fence is the newest of its conversation and its worker is the
//! owner, so `latest` only moves forward. Only a skip moves it back: a snapshot that cannot be restored fails, and the
//! one before is the latest again. A ready archive is exactly the announced archive. The latest
//! snapshot never expires. A worker of the compatible API announces the archive with its upload, any other
//! worker before it.
//!
//! A worker that has claimed a message owes a final snapshot. Until that snapshot is ready or has failed, no
//! other worker gets the conversation, because it would restore older files.
//!
//! Failures: an upload that is never finalized fails some time after its URL has expired. If a worker dies
//! without a snapshot, the file changes since the latest snapshot are lost. The history is not lost, because
//! it is not part of the files.

use crate::conversation::{Conversation, OwnerState};
use crate::ids::{AgentKey, ConversationId, Fence, Sha256Hex, SnapshotId, WorkerId};
use crate::named_enum;
use crate::policy::Policies;
use crate::time::{Millis, Timestamp};

/// How long a presigned URL is valid. Workers are promised at most this duration.
pub const URL_GOOD_FOR: Millis = Millis::from_secs(15 * 60);
/// When an upload that was not finalized is abandoned. An upload may begin just before its URL expires, and
/// it takes a while.
pub const ABANDONED_AFTER: Millis = Millis::from_secs(2 * 60 * 60);
/// The largest archive. S3 accepts no larger object in one PUT.
pub const MAX_SIZE_BYTES: u64 = 5 * 1024 * 1024 * 1024;
/// The format of archives: a gzipped tar of the data folder.
pub const FORMAT_VERSION: u64 = 1;
/// Most characters of an upload's failure reason.
const MAX_ERROR_CHARS: usize = 2_000;

named_enum! {
    /// The reason for a snapshot.
    pub enum SnapshotReason {
        /// The worker is drained, or must release the conversation.
        Drain = "drain",
        /// The machine of the worker is being stopped.
        Signal = "signal",
        /// The worker requested a snapshot.
        Manual = "manual",
    }
}

impl SnapshotReason {
    /// Whether this is the last snapshot of its worker. It frees the conversation of a draining worker.
    pub const fn is_final(self) -> bool {
        matches!(self, SnapshotReason::Drain | SnapshotReason::Signal)
    }
}

/// The status of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotStatus {
    /// The worker has received an upload URL.
    Uploading,
    /// The snapshot can be restored.
    Ready {
        /// When the snapshot was finalized.
        completed_at: Timestamp,
    },
    /// The upload failed.
    Failed {
        /// The reason.
        error: String,
    },
    /// A newer snapshot has replaced this one, and its retention has ended.
    Expired,
}

impl SnapshotStatus {
    /// The status as it is stored and shown.
    pub const fn name(&self) -> &'static str {
        match self {
            SnapshotStatus::Uploading => "uploading",
            SnapshotStatus::Ready { .. } => "ready",
            SnapshotStatus::Failed { .. } => "failed",
            SnapshotStatus::Expired => "expired",
        }
    }
}

/// A snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The snapshot id. It contains the conversation key and the fence.
    pub id: SnapshotId,
    /// The conversation whose files the snapshot contains.
    pub conversation: ConversationId,
    /// The agent of the conversation.
    pub agent: AgentKey,
    /// The worker that made the snapshot.
    pub worker: WorkerId,
    /// The reason for the snapshot.
    pub reason: SnapshotReason,
    /// The announced archive; `None` before its worker has announced it.
    pub content: Option<Stored>,
    /// The status.
    pub status: SnapshotStatus,
    /// When the snapshot was prepared.
    pub created_at: Timestamp,
    /// When the snapshot may expire: an upload that is not finalized is abandoned, and a ready snapshot
    /// expires unless it is the latest.
    pub expires_at: Timestamp,
}

/// The size and digest of an object in the bucket, or of an object to be uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The size in bytes.
    pub size_bytes: u64,
    /// The SHA-256 digest.
    pub sha256: Sha256Hex,
}

/// The reason why a worker may not make a snapshot now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotRefusal {
    /// The worker does not own the conversation.
    #[error("this worker does not own the conversation")]
    NotOwner,
    /// The worker has claimed no message since it got the conversation, so its files are those it restored.
    #[error("this worker has claimed no message since it got the conversation, so it has no new files")]
    NothingClaimed,
    /// A message runs.
    #[error("a message runs; complete or fail it first, because changing files cannot be archived")]
    Busy,
}

/// The reason why a snapshot does not become ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FinalizeRefusal {
    /// Another claim was made since, or its worker no longer owns the conversation.
    #[error("the conversation has changed since this snapshot was prepared")]
    Superseded,
    /// The snapshot has failed or expired.
    #[error("the snapshot is {0}, which is final")]
    Ended(&'static str),
    /// The uploaded object is not the announced one.
    #[error("the uploaded archive is not the announced one")]
    Mismatch,
}

impl Snapshot {
    /// Makes the snapshot ready if it is current and the `stored` object is the announced one. A snapshot that
    /// is ready stays unchanged, because its finalization was repeated. Otherwise returns the reason why the
    /// snapshot does not become ready.
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
            other => return Err(FinalizeRefusal::Ended(other.name())),
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

    /// Returns the snapshot in state `Failed` with this reason; `None` unless it is being uploaded.
    #[must_use]
    pub fn fail(&self, error: &str) -> Option<Snapshot> {
        let error = error.chars().take(MAX_ERROR_CHARS).collect();
        let failed = || Snapshot { status: SnapshotStatus::Failed { error }, ..self.clone() };
        (self.status == SnapshotStatus::Uploading).then(failed)
    }

    /// Returns the snapshot in state `Failed` with this reason, because it is not to be restored any more; `None` unless it
    /// is ready. Its archive is kept for its retention, so that it can be examined.
    #[must_use]
    pub fn skip(&self, error: &str, now: Timestamp, policies: &Policies) -> Option<Snapshot> {
        let SnapshotStatus::Ready { .. } = self.status else { return None };
        let error = error.chars().take(MAX_ERROR_CHARS).collect();
        let expires_at = now + policies.retention.snapshot;
        Some(Snapshot { status: SnapshotStatus::Failed { error }, expires_at, ..self.clone() })
    }

    /// Returns the expired snapshot, for a snapshot that is not the latest and whose time is over.
    #[must_use]
    pub fn expire(&self) -> Snapshot {
        match self.status {
            SnapshotStatus::Uploading => self.fail("it was never finalized").unwrap_or_else(|| self.clone()),
            SnapshotStatus::Ready { .. } => Snapshot { status: SnapshotStatus::Expired, ..self.clone() },
            SnapshotStatus::Failed { .. } | SnapshotStatus::Expired => self.clone(),
        }
    }

    /// Whether the fence is still the newest of the conversation and the worker still owns it.
    pub fn is_current(&self, conversation: &Conversation) -> bool {
        conversation.is_owned_by(&self.worker) && conversation.fence == self.id.parts().fence
    }
}

impl Conversation {
    /// Returns the fence that a snapshot of `worker` would have now, or the reason why the worker may make
    /// none.
    pub fn snapshot_fence(&self, worker: &WorkerId, now: Timestamp) -> Result<Fence, SnapshotRefusal> {
        let owner = self.owner.as_ref().filter(|o| &o.worker == worker).ok_or(SnapshotRefusal::NotOwner)?;
        if owner.claimed_at.is_none() {
            return Err(SnapshotRefusal::NothingClaimed);
        }
        // An expired lease is no longer in force, even if it has not been recovered yet.
        if self.lease.as_ref().is_some_and(|l| l.expires_at > now) {
            return Err(SnapshotRefusal::Busy);
        }
        Ok(self.fence)
    }

    /// Whether the owner has files that no snapshot contains, because it has claimed since the last snapshot.
    pub fn owes_snapshot(&self) -> bool {
        self.owner.as_ref().is_some_and(|o| o.claimed_at.is_some() && o.snapshot_fence != Some(self.fence))
    }

    /// Returns the conversation after a snapshot of the owner's current files.
    #[must_use]
    pub fn with_snapshot(&self) -> Conversation {
        let mut after = self.clone();
        after.version += 1;
        if let Some(owner) = &mut after.owner {
            owner.snapshot_fence = Some(self.fence);
        }
        after
    }

    /// Whether the owner is draining and runs no message, so that its final snapshot frees the conversation.
    pub fn owner_can_leave(&self) -> bool {
        self.lease.is_none() && self.owner.as_ref().is_some_and(|o| o.state == OwnerState::Draining)
    }
}

#[cfg(test)]
mod tests;
