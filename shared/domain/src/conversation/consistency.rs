//! Consistency of a conversation: which problems it has, given the related items of the table, and how each
//! is repaired.
//!
//! The system's own writes never produce such a problem. A problem comes from outside: an operator deletes a
//! worker's row or a message, an item is restored from a backup, or an earlier bug left it. Each problem has
//! one repair, and each repair is one conditional write. The conversation is read again after each repair.

use std::collections::BTreeSet;
use std::fmt;

use super::lease::RecoverCause;
use super::state::Conversation;
use crate::ids::{MessageId, WorkerId};
use crate::policy::Policies;
use crate::time::{MAX_REPLICATION_LAG, Timestamp};

/// Most entries that one repair removes. Their messages are conditions of one transaction, which holds 100
/// writes.
const MAX_FORGOTTEN: usize = 50;
/// The state of the items that a conversation refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelatedState {
    /// Whether the owner has a row that names this conversation. If so, reconcile handles the owner and the
    /// conversation.
    pub owner_has_row: bool,
    /// The messages of this conversation that do not exist or have ended. No worker must run them.
    pub ended: BTreeSet<MessageId>,
    /// Whether the conversation has a partition in the ready index.
    pub in_ready_index: bool,
}

/// An inconsistency of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The lease names a message that does not exist or has ended.
    LeaseWithoutMessage(MessageId),
    /// The lease belongs to a worker that does not own the conversation, or that has no row.
    LeaseWithoutOwner(WorkerId),
    /// The lease has expired and was not recovered.
    LeaseExpired(WorkerId),
    /// The queue contains messages that do not exist or have ended.
    EntriesWithoutMessage(Vec<MessageId>),
    /// The owner has no row that names this conversation. No worker works on it, and no other worker may
    /// claim it.
    OwnerWithoutRow(WorkerId),
    /// The conversation is in the ready index although it has an owner.
    IndexedThoughOwned(WorkerId),
    /// The conversation has no owner, and its entry in the ready index is missing or wrong.
    NotIndexed,
}

/// The repair of a problem.
#[derive(Clone, Debug)]
pub enum Repair {
    /// End the lease as recovery does.
    Recover(RecoverCause),
    /// Commit `after`, on condition that the messages do not exist or have ended.
    Forget {
        /// The messages to remove.
        messages: Vec<MessageId>,
        /// The conversation without the messages.
        after: Conversation,
    },
    /// Commit `after`, on condition that the worker's row does not name the conversation.
    Free {
        /// The owner to remove.
        worker: WorkerId,
        /// The conversation without the owner.
        after: Conversation,
    },
    /// Commit this state, whose entry in the ready index is correct.
    Reindex(Conversation),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::LeaseWithoutMessage(message) => {
                write!(f, "its lease names message {message}, which does not exist or has ended")
            }
            Problem::LeaseWithoutOwner(worker) => {
                write!(f, "its lease is held by worker {worker}, which does not own it or has no row")
            }
            Problem::LeaseExpired(worker) => write!(f, "its lease, held by worker {worker}, has expired"),
            Problem::EntriesWithoutMessage(messages) => {
                let names: Vec<_> = messages.iter().map(MessageId::as_str).collect();
                write!(f, "messages wait in it that do not exist or have ended: {}", names.join(", "))
            }
            Problem::OwnerWithoutRow(worker) => {
                write!(f, "its owner, worker {worker}, has no row that names it")
            }
            Problem::IndexedThoughOwned(worker) => {
                write!(f, "it is in the ready index although worker {worker} owns it")
            }
            Problem::NotIndexed => {
                f.write_str("it has no owner, and its entry in the ready index is missing or wrong")
            }
        }
    }
}

impl Conversation {
    /// Returns the problems at `now`, in the order in which they must be repaired.
    pub fn problems(&self, related: &RelatedState, now: Timestamp, policies: &Policies) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Some(lease) = &self.lease {
            if related.ended.contains(&lease.entry.message) {
                problems.push(Problem::LeaseWithoutMessage(lease.entry.message.clone()));
            } else if !self.is_owned_by(&lease.worker) || !related.owner_has_row {
                problems.push(Problem::LeaseWithoutOwner(lease.worker.clone()));
            } else if lease.expires_at <= now {
                problems.push(Problem::LeaseExpired(lease.worker.clone()));
            }
        }
        let waiting = self.queue.entries().iter().map(|e| &e.message);
        let over: Vec<_> = waiting.filter(|m| related.ended.contains(m)).cloned().collect();
        if !over.is_empty() {
            problems.push(Problem::EntriesWithoutMessage(over));
        }
        match &self.owner {
            Some(owner) if !related.owner_has_row => {
                problems.push(Problem::OwnerWithoutRow(owner.worker.clone()));
            }
            Some(owner) if related.in_ready_index => {
                problems.push(Problem::IndexedThoughOwned(owner.worker.clone()));
            }
            None if self.lease.is_none()
                && !(related.in_ready_index && self.ready_key_is_sufficient(now, policies)) =>
            {
                problems.push(Problem::NotIndexed);
            }
            _ => {}
        }
        problems
    }

    /// Returns the repair of `problem`, which must be a problem of this conversation.
    pub fn repair_for(&self, problem: &Problem, now: Timestamp, policies: &Policies) -> Repair {
        let mut after = self.clone();
        let mut messages = Vec::new();
        match problem {
            Problem::LeaseWithoutOwner(_) => return Repair::Recover(RecoverCause::WorkerGone),
            Problem::LeaseExpired(_) => return Repair::Recover(RecoverCause::Expired),
            Problem::LeaseWithoutMessage(message) => {
                after.lease = None;
                messages.push(message.clone());
            }
            Problem::EntriesWithoutMessage(over) => {
                messages.extend(over.iter().take(MAX_FORGOTTEN).cloned());
                after.queue.forget(&messages);
            }
            Problem::OwnerWithoutRow(_) => after.owner = None,
            Problem::IndexedThoughOwned(_) | Problem::NotIndexed => {}
        }
        after.update_keys(now, policies);
        match problem {
            Problem::OwnerWithoutRow(worker) => Repair::Free { worker: worker.clone(), after },
            _ if messages.is_empty() => Repair::Reindex(after),
            _ => Repair::Forget { messages, after },
        }
    }

    /// Whether the ready index can no longer name this conversation legitimately, even if the index lags.
    pub fn is_indexed_by_mistake(&self, now: Timestamp) -> bool {
        match &self.owner {
            Some(owner) => now.since(owner.assigned_at) >= MAX_REPLICATION_LAG,
            None => self.lease.is_some(),
        }
    }

    /// Whether the stored ready key hides no claimable message, and announces none when the queue is empty. A
    /// key that announces a message too early is no problem: the worker that follows it repairs it.
    fn ready_key_is_sufficient(&self, now: Timestamp, policies: &Policies) -> bool {
        match (&self.ready, self.index_keys(now, policies).0) {
            (None, None) => true,
            (Some(stored), Some(right)) => {
                let claimable_from = right.time().filter(|_| right.is_later()).unwrap_or(now);
                let is_early = stored.is_later() && stored.time().is_some_and(|t| t <= claimable_from);
                stored.band().is_some() || is_early
            }
            _ => false,
        }
    }
}
