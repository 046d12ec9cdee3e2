//! Malformed states: what is wrong with a conversation, given what else is stored of that which it names, and what
//! mends it.
//!
//! No write of ours leaves one behind. They come from outside: a worker's row or a message that somebody deleted, an
//! item restored from a backup, a bug that was there before. Each problem has one remedy, which is one conditional
//! write; the conversation is looked at anew after each.

use std::collections::BTreeSet;
use std::fmt;

use super::{Conversation, Cut};
use crate::ids::{MessageId, WorkerId};
use crate::policy::Policies;
use crate::time::{SEEN_BY_ALL_AFTER, Timestamp};

/// Entries that one remedy forgets: their messages are conditions of one transaction, which holds 100 writes.
const MAX_FORGOTTEN: usize = 50;
/// What else is stored of that which a conversation names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Whether its owner has a row that names this conversation, so that reconcile sees to both.
    pub owner_is_known: bool,
    /// Those of its messages that wait for nobody: they do not exist, or have ended.
    pub over: BTreeSet<MessageId>,
    /// Whether it has its partition of the ready index.
    pub is_listed: bool,
}

/// Something that is wrong with a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Its lease names a message that does not exist or has ended.
    LeaseWithoutMessage(MessageId),
    /// Its lease is held by a worker that does not own it, or that has no row.
    LeaseOfNobody(WorkerId),
    /// Its lease has expired and nobody has recovered it.
    LeaseExpired(WorkerId),
    /// Messages that do not exist or have ended wait in it.
    EntriesWithoutMessage(Vec<MessageId>),
    /// Its owner has no row that names it: nobody works on it, and nobody else may.
    OwnerUnknown(WorkerId),
    /// It stands in the ready index although it has an owner.
    ListedThoughOwned(WorkerId),
    /// Nobody owns it, and its place in the ready index is missing or wrong.
    NotListed,
}

/// What mends a problem.
#[derive(Clone, Debug)]
pub enum Remedy {
    /// End its lease as recovery does.
    Recover(Cut),
    /// Commit this state, in which these messages are forgotten, as long as they are over.
    Forget {
        /// The messages.
        messages: Vec<MessageId>,
        /// The conversation without them.
        after: Conversation,
    },
    /// Commit this state, in which it has no owner, as long as that one's row does not name it.
    Free {
        /// The owner.
        worker: WorkerId,
        /// The conversation without it.
        after: Conversation,
    },
    /// Commit this state, whose place in the ready index is right.
    Relist(Conversation),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::LeaseWithoutMessage(message) => {
                write!(f, "its lease names message {message}, which does not exist or has ended")
            }
            Problem::LeaseOfNobody(worker) => {
                write!(f, "its lease is held by worker {worker}, which does not own it or has no row")
            }
            Problem::LeaseExpired(worker) => write!(f, "its lease, held by worker {worker}, has expired"),
            Problem::EntriesWithoutMessage(messages) => {
                let names: Vec<_> = messages.iter().map(MessageId::as_str).collect();
                write!(f, "messages wait in it that do not exist or have ended: {}", names.join(", "))
            }
            Problem::OwnerUnknown(worker) => {
                write!(f, "its owner, worker {worker}, has no row that names it")
            }
            Problem::ListedThoughOwned(worker) => {
                write!(f, "it stands in the ready index although worker {worker} owns it")
            }
            Problem::NotListed => {
                f.write_str("nobody owns it, and its place in the ready index is missing or wrong")
            }
        }
    }
}

impl Conversation {
    /// What is wrong with it at `now`, in the order in which it must be mended.
    pub fn problems(&self, evidence: &Evidence, now: Timestamp, policies: &Policies) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Some(lease) = &self.lease {
            let owns = self.owner.as_ref().is_some_and(|o| o.worker == lease.worker);
            if evidence.over.contains(&lease.entry.message) {
                problems.push(Problem::LeaseWithoutMessage(lease.entry.message.clone()));
            } else if !owns || !evidence.owner_is_known {
                problems.push(Problem::LeaseOfNobody(lease.worker.clone()));
            } else if lease.expires_at <= now {
                problems.push(Problem::LeaseExpired(lease.worker.clone()));
            }
        }
        let waiting = self.queue.entries().iter().map(|e| &e.message);
        let over: Vec<_> = waiting.filter(|m| evidence.over.contains(m)).cloned().collect();
        if !over.is_empty() {
            problems.push(Problem::EntriesWithoutMessage(over));
        }
        match &self.owner {
            Some(owner) if !evidence.owner_is_known => {
                problems.push(Problem::OwnerUnknown(owner.worker.clone()));
            }
            Some(owner) if evidence.is_listed => {
                problems.push(Problem::ListedThoughOwned(owner.worker.clone()));
            }
            None if self.lease.is_none()
                && !(evidence.is_listed && self.is_ready_as_it_should(now, policies)) =>
            {
                problems.push(Problem::NotListed);
            }
            _ => {}
        }
        problems
    }

    /// What mends `problem`, one of its problems.
    pub fn remedy(&self, problem: &Problem, now: Timestamp, policies: &Policies) -> Remedy {
        let mut after = self.clone();
        let mut messages = Vec::new();
        match problem {
            Problem::LeaseOfNobody(_) => return Remedy::Recover(Cut::WorkerGone),
            Problem::LeaseExpired(_) => return Remedy::Recover(Cut::Expired),
            Problem::LeaseWithoutMessage(message) => {
                after.lease = None;
                messages.push(message.clone());
            }
            Problem::EntriesWithoutMessage(over) => {
                messages.extend(over.iter().take(MAX_FORGOTTEN).cloned());
                after.queue.forget(&messages);
            }
            Problem::OwnerUnknown(_) => after.owner = None,
            Problem::ListedThoughOwned(_) | Problem::NotListed => {}
        }
        after.touch(now, policies);
        match problem {
            Problem::OwnerUnknown(worker) => Remedy::Free { worker: worker.clone(), after },
            _ if messages.is_empty() => Remedy::Relist(after),
            _ => Remedy::Forget { messages, after },
        }
    }

    /// Whether it cannot be that the ready index names it, however late that index is.
    pub fn is_listed_by_mistake(&self, now: Timestamp) -> bool {
        match &self.owner {
            Some(owner) => now.since(owner.assigned_at) >= SEEN_BY_ALL_AFTER,
            None => self.lease.is_some(),
        }
    }

    /// Whether its ready key hides nothing that may be claimed, and announces nothing where nothing waits. One that
    /// announces too early is no problem: whoever follows it repairs it.
    fn is_ready_as_it_should(&self, now: Timestamp, policies: &Policies) -> bool {
        match (&self.ready, self.readiness(now, policies).ready) {
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
