//! The conversation: its queue, its lease and its owner. Everything that decides who may run what is here.
//!
//! ```text
//!            enqueue            claim (fence + 1, attempt + 1)
//!   (none) ─────────▶ queued ───────────────────────────────▶ processing (lease)
//!                       ▲                                        │
//!                       ├── fail, recover: attempts left ────────┤
//!                       │                                        ├── complete ──▶ done
//!                  (backoff)                                     ├── fail, recover: none left ──▶ dead_letter
//!                                                                └── the same once cancelled ──▶ cancelled
//! ```
//!
//! An operator takes three more steps: a queued message or a dead letter is cancelled at once; a dead letter is
//! queued again behind all others; a conversation is freed, which ends its lease as recovery does.
//!
//! Invariants: at most one lease; the fence grows by one with each claim and never falls; a lease implies an
//! owner; a conversation with an owner is not in the ready index; `version` grows with every change of queue,
//! lease or owner, so a decision made on an older version does not commit.
//!
//! Failures: a worker that dies leaves a lease that expires; `recover` puts the message back in front (the
//! attempt stays counted) or dead-letters it. A late call with the old lease finds another lease or none, and
//! changes nothing. A state that no write of ours leaves behind (somebody deleted a row, or a message) is found by
//! `problems` and mended by `remedy`.

mod audit;
mod lease;
mod operator;
mod owner;
mod queue;
mod waiting;

pub use audit::{Evidence, Problem, Remedy};
pub use lease::{ClaimRefusal, Claimed, Cut, Failure, GivenBack, MAX_DRAINED, NotHeld};
pub use operator::Freed;
pub use queue::{Entry, OrderKey, Priority, Queue, Readiness, ReadyKey};
pub use waiting::Waiting;

use crate::ids::{AgentKey, ConversationId, ConversationKey, Fence, LeaseId, WorkerId};
use crate::policy::Policies;
use crate::time::Timestamp;

/// A worker's right to run one message, until it expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Its id; carries the conversation's key and the fence.
    pub id: LeaseId,
    /// Who holds it.
    pub worker: WorkerId,
    /// The message it is for, with this attempt counted.
    pub entry: Entry,
    /// When it was claimed.
    pub claimed_at: Timestamp,
    /// When it ends unless a heartbeat comes.
    pub expires_at: Timestamp,
    /// How often the claim was answered again to its holder.
    pub redeliveries: u32,
    /// Whether the user or an operator cancelled the running message.
    pub cancelled: bool,
    /// What its holder last said of its progress.
    pub progress: Option<String>,
}

/// Whether an owner may still claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerState {
    /// It may claim.
    Active,
    /// It finishes what it runs and leaves; nobody else gets the conversation before it has.
    Draining,
}

/// The worker that a conversation is assigned to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Which worker.
    pub worker: WorkerId,
    /// Whether it may still claim.
    pub state: OwnerState,
    /// Its last sign of life on this conversation; `None` before the first.
    pub seen_at: Option<Timestamp>,
    /// Since when it owns the conversation.
    pub assigned_at: Timestamp,
    /// Whether other conversations wait for a worker: when this one is quiet, the owner is asked to let go.
    pub wanted_elsewhere: bool,
    /// When it last claimed here; `None` before the first.
    pub claimed_at: Option<Timestamp>,
    /// The fence that its last snapshot is of.
    pub snapshot_fence: Option<Fence>,
    /// When it fetched the files that it begins with, by a link of ours; `None` for whoever needs no link.
    pub restored_at: Option<Timestamp>,
}

/// How the latest settled lease ended; lets a repeated call recognise its own first sending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The lease that ended.
    pub lease: LeaseId,
    /// How.
    pub outcome: Outcome,
    /// Whether recovery ended it and not its holder: a late call of the holder is then no repetition.
    pub recovered: bool,
}

/// How a lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The message is done.
    Done,
    /// The message waits for its retry.
    Requeued {
        /// Not before this moment.
        not_before: Timestamp,
    },
    /// The message is a dead letter.
    DeadLettered,
    /// The message was cancelled while it ran.
    Cancelled,
}

impl Outcome {
    /// The outcome as it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Requeued { .. } => "requeued",
            Outcome::DeadLettered => "dead_letter",
            Outcome::Cancelled => "cancelled",
        }
    }
}

/// One conversation, as its meta item holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// Its id.
    pub id: ConversationId,
    /// The partition its items live in.
    pub key: ConversationKey,
    /// The agent it belongs to, for good.
    pub agent: AgentKey,
    /// Fence of the latest claim.
    pub fence: Fence,
    /// Grows with every change of queue, lease or owner.
    pub version: u64,
    /// What waits.
    pub queue: Queue,
    /// Who runs a message now.
    pub lease: Option<Lease>,
    /// Who it is assigned to.
    pub owner: Option<Owner>,
    /// How the latest lease ended.
    pub last: Option<Settled>,
    /// Its key in the ready index, as stored (it stands in the index only while nobody owns it).
    pub ready: Option<ReadyKey>,
    /// Order key of a head that others must not pass, as stored.
    pub behind: Option<OrderKey>,
    /// When a message last ended here, or the conversation began.
    pub active_at: Timestamp,
}

impl Conversation {
    /// What waits here at `now`.
    pub fn readiness(&self, now: Timestamp, policies: &Policies) -> Readiness {
        self.queue.readiness(now, policies.queue.on_retry)
    }

    /// Whether its owner has something to do here at `now`, or will have as soon as attachments have come.
    pub fn is_busy(&self, now: Timestamp, policies: &Policies) -> bool {
        let awaits = |e: &Entry| e.awaits_attachments(now);
        self.lease.is_some()
            || self.readiness(now, policies).head.is_some()
            || self.queue.entries().iter().any(awaits)
    }

    /// The conversation with its index keys as they should be at `now`; `None` when they are so already.
    #[must_use]
    pub fn with_keys_repaired(&self, now: Timestamp, policies: &Policies) -> Option<Conversation> {
        let mut after = self.clone();
        after.touch(now, policies);
        (after.ready != self.ready || after.behind != self.behind).then_some(after)
    }

    fn touch(&mut self, now: Timestamp, policies: &Policies) {
        let readiness = self.queue.readiness(now, policies.queue.on_retry);
        self.ready = readiness.ready;
        self.behind = readiness.behind;
        self.version += 1;
    }
}

#[cfg(test)]
mod tests;
