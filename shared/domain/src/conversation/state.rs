//! The state of a conversation: its lease, its owner and its queue, as stored in the meta item.

use super::queue::{Entry, OrderKey, Queue, Readiness, ReadyKey};
use crate::ids::{AgentKey, ConversationId, ConversationKey, Fence, LeaseId, WorkerId};
use crate::named_enum;
use crate::policy::Policies;
use crate::time::{Millis, Timestamp};

/// Shortest and longest hold of a conversation whose agent is disabled. The longest one is how late the conversation may
/// notice that its agent is enabled again.
const MIN_HOLD: Millis = Millis::from_secs(5);
const MAX_HOLD: Millis = Millis::from_secs(120);

/// The right of one worker to run one message, until it expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The lease id. It contains the conversation key and the fence.
    pub id: LeaseId,
    /// The worker that holds the lease.
    pub worker: WorkerId,
    /// The entry of the leased message, with this attempt counted.
    pub entry: Entry,
    /// When it was claimed.
    pub claimed_at: Timestamp,
    /// When the lease expires unless a heartbeat extends it.
    pub expires_at: Timestamp,
    /// How often the claim was answered again to its holder.
    pub redeliveries: u32,
    /// Whether the user or an operator cancelled the running message.
    pub cancelled: bool,
    /// The progress text of the last heartbeat.
    pub progress: Option<String>,
}

named_enum! {
    /// Whether an owner may claim.
    pub enum OwnerState {
        /// The owner may claim.
        Active = "active",
        /// The owner finishes its running message and leaves. No other worker gets the conversation before that.
        Draining = "draining",
    }
}

/// The worker that a conversation is assigned to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The worker.
    pub worker: WorkerId,
    /// Whether the worker may still claim.
    pub state: OwnerState,
    /// The last sign of life on this conversation; `None` before the first.
    pub seen_at: Option<Timestamp>,
    /// When the worker became the owner.
    pub assigned_at: Timestamp,
    /// Whether other conversations wait for a worker. If so, the owner must release this conversation when it
    /// is quiet.
    pub wanted_elsewhere: bool,
    /// The last claim on this conversation; `None` before the first.
    pub claimed_at: Option<Timestamp>,
    /// The fence at which the last snapshot was taken.
    pub snapshot_fence: Option<Fence>,
    /// When the owner fetched the files to restore through a presigned link; `None` for an owner that needs
    /// no link.
    pub restored_at: Option<Timestamp>,
}

/// How the latest lease ended. A repeated call recognises its own first execution by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedLease {
    /// The lease that ended.
    pub lease: LeaseId,
    /// How the lease ended.
    pub outcome: Outcome,
    /// Whether recovery ended the lease and not its holder. A late call of the holder is then no repetition.
    pub recovered: bool,
}

/// How a lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The message is done.
    Done,
    /// The message waits for its retry.
    Requeued {
        /// The retry may not be claimed before this moment.
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

/// A conversation, as stored in its meta item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// The conversation id.
    pub id: ConversationId,
    /// The partition of the conversation's items.
    pub key: ConversationKey,
    /// The agent of the conversation. It never changes.
    pub agent: AgentKey,
    /// The fence of the latest claim.
    pub fence: Fence,
    /// Grows with every change of queue, lease or owner.
    pub version: u64,
    /// The waiting messages.
    pub queue: Queue,
    /// The lease in force.
    pub lease: Option<Lease>,
    /// The worker that the conversation is assigned to.
    pub owner: Option<Owner>,
    /// How the latest lease ended.
    pub last: Option<EndedLease>,
    /// The key in the ready index, as stored. The conversation is in the index only while it has no owner.
    pub ready: Option<ReadyKey>,
    /// The order key of a head that other messages must not overtake, as stored.
    pub behind: Option<OrderKey>,
    /// Until when no worker is wanted, because the agent is disabled. A claim ends the hold.
    pub held_until: Option<Timestamp>,
    /// When the last message ended, or when the conversation began.
    pub active_at: Timestamp,
}

impl Conversation {
    /// Returns what the queue offers at `now`.
    pub fn readiness(&self, now: Timestamp, policies: &Policies) -> Readiness {
        self.queue.readiness(now, policies.queue.on_retry)
    }

    /// Since when the head of the queue could be claimed; `None` when no message is due. The time of a hold does not count.
    pub fn due_since(&self, now: Timestamp, policies: &Policies) -> Option<Timestamp> {
        let head = self.readiness(now, policies).head?;
        let since = self.queue.entries()[head].waits_until();
        Some(since.max(self.held_until.unwrap_or_default())).filter(|since| *since <= now)
    }

    /// Since when the message waits that has waited longest; `None` when none is due. It may wait behind a running one. The
    /// time of a hold does not count.
    pub fn waiting_since(&self, now: Timestamp) -> Option<Timestamp> {
        let since = self.queue.entries().iter().map(Entry::waits_until).min()?;
        Some(since.max(self.held_until.unwrap_or_default())).filter(|since| *since <= now)
    }

    /// Whether the owner has work at `now`, or will have work as soon as attachments arrive.
    pub fn is_busy(&self, now: Timestamp, policies: &Policies) -> bool {
        let awaits = |e: &Entry| e.awaits_attachments(now);
        let has_work =
            || self.readiness(now, policies).head.is_some() || self.queue.entries().iter().any(awaits);
        self.lease.is_some() || (!self.is_held(now) && has_work())
    }

    /// Whether no worker is wanted at `now`, because the agent is disabled.
    pub fn is_held(&self, now: Timestamp) -> bool {
        self.held_until.is_some_and(|until| until > now)
    }

    /// Returns the conversation with a hold, because its agent is disabled. The longer its head has been due, the longer
    /// the hold.
    #[must_use]
    pub fn held(&self, now: Timestamp, policies: &Policies) -> Self {
        let head = self.readiness(now, policies).head.and_then(|head| self.queue.entries().get(head));
        let due_for = head.map_or(MIN_HOLD, |head| now.since(head.waits_until()));
        let until = now + due_for.clamp(MIN_HOLD, MAX_HOLD);
        self.changed(now, policies, |after| after.held_until = Some(until))
    }

    /// The correct index keys at `now`. A hold ends before the conversation is in the index as ready.
    pub(super) fn index_keys(
        &self,
        now: Timestamp,
        policies: &Policies,
    ) -> (Option<ReadyKey>, Option<OrderKey>) {
        let Readiness { ready, behind, .. } = self.readiness(now, policies);
        let until = self.held_until.filter(|until| *until > now);
        let ready = ready.map(|ready| match until {
            Some(until) => {
                ReadyKey::at(ready.time().filter(|_| ready.is_later()).unwrap_or(until).max(until))
            }
            None => ready,
        });
        (ready, behind)
    }

    /// Returns the conversation with correct index keys at `now`; `None` if they are correct already.
    #[must_use]
    pub fn with_keys_repaired(&self, now: Timestamp, policies: &Policies) -> Option<Self> {
        let after = self.changed(now, policies, |_| {});
        (after.ready != self.ready || after.behind != self.behind).then_some(after)
    }

    /// Returns the conversation after `change`, with its index keys and version updated.
    pub(super) fn changed(
        &self,
        now: Timestamp,
        policies: &Policies,
        change: impl FnOnce(&mut Self),
    ) -> Self {
        let mut after = self.clone();
        change(&mut after);
        after.update_keys(now, policies);
        after
    }

    /// Recomputes the index keys and increments the version.
    pub(super) fn update_keys(&mut self, now: Timestamp, policies: &Policies) {
        (self.ready, self.behind) = self.index_keys(now, policies);
        self.held_until = self.held_until.filter(|until| *until > now);
        self.version += 1;
    }
}
