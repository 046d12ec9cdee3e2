//! The conversation: its queue, its lease and its owner. Everything that decides who may run what is here.
//!
//! ```text
//!            enqueue            claim (fence + 1, attempt + 1)
//!   (none) ─────────▶ queued ───────────────────────────────▶ processing (lease)
//!                       ▲                                        │
//!                       ├── fail, recover: attempts left ────────┤
//!                       │                                        ├── complete ──▶ done
//!                  (backoff)                                     └── fail, recover: none left ──▶ dead_letter
//! ```
//!
//! Invariants: at most one lease; the fence grows by one with each claim and never falls; a lease implies an
//! owner; a conversation with an owner is not in the ready index; `version` grows with every change of queue,
//! lease or owner, so a decision made on an older version does not commit.
//!
//! Failures: a worker that dies leaves a lease that expires; `recover` puts the message back in front (the
//! attempt stays counted) or dead-letters it. A late call with the old lease finds another lease or none, and
//! changes nothing.

mod queue;

pub use queue::{Entry, OrderKey, Priority, Queue, Readiness, ReadyKey};

use crate::ids::{
    AgentKey, ConversationId, ConversationKey, Fence, LeaseId, LeaseParts, MessageId, WorkerId,
};
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

/// Why a claim gets nothing here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimRefusal {
    /// The worker runs a message already, under this lease.
    Leased(LeaseId),
    /// Another worker owns the conversation.
    OwnedByAnother,
    /// The worker owns it but is draining.
    Draining,
    /// Nothing is due.
    NothingDue,
}

/// A claim that was decided.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The conversation as it will be.
    pub after: Conversation,
    /// The lease that was made.
    pub lease: Lease,
    /// Whether the worker becomes the owner with it.
    pub becomes_owner: bool,
}

/// Why a message goes back, or ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What is recorded as the message's last error.
    pub error: String,
    /// Whether another attempt may help.
    pub retryable: bool,
}

/// A message given back: what becomes of the conversation and of the message.
#[derive(Clone, Debug)]
pub struct GivenBack {
    /// The conversation as it will be.
    pub after: Conversation,
    /// The message's entry, its attempts counted.
    pub entry: Entry,
    /// Whether it waits for its retry or is a dead letter.
    pub outcome: Outcome,
    /// What is recorded as its last error.
    pub error: String,
}

/// A call under a lease that is no longer the conversation's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotHeld {
    /// Its holder has ended the lease, with this outcome: an earlier sending of the same call, most likely.
    Settled(Outcome),
    /// Another lease, or none, is in force.
    Stale,
}

impl Conversation {
    /// What waits here at `now`.
    pub fn readiness(&self, now: Timestamp, policies: &Policies) -> Readiness {
        self.queue.readiness(now, policies.queue.on_retry)
    }

    /// Gives the head to `worker`, which becomes the owner when there is none.
    ///
    /// # Errors
    /// The refusal, when a lease is in force, somebody else owns the conversation, or nothing is due.
    pub fn claim(
        &self,
        worker: &WorkerId,
        nonce: u64,
        now: Timestamp,
        policies: &Policies,
    ) -> Result<Claimed, ClaimRefusal> {
        if let Some(lease) = &self.lease {
            // Another's lease id is not told: whoever has it may be handed the message again.
            let is_holder = &lease.worker == worker;
            return Err(if is_holder {
                ClaimRefusal::Leased(lease.id.clone())
            } else {
                ClaimRefusal::OwnedByAnother
            });
        }
        let becomes_owner = match &self.owner {
            None => true,
            Some(owner) if &owner.worker != worker => return Err(ClaimRefusal::OwnedByAnother),
            Some(owner) if owner.state == OwnerState::Draining => return Err(ClaimRefusal::Draining),
            Some(_) => false,
        };
        let head = self.readiness(now, policies).head.ok_or(ClaimRefusal::NothingDue)?;
        let mut after = self.clone();
        let mut entry = after.queue.take(head);
        after.fence = self.fence.next();
        entry.attempts += 1;
        entry.not_before = Timestamp::default();
        let first_fence = *entry.first_fence.get_or_insert(after.fence);
        let id = LeaseId::of(&LeaseParts {
            conversation: self.key.clone(),
            fence: after.fence,
            first_fence,
            attempt: entry.attempts,
            nonce,
        });
        let lease = Lease {
            id,
            worker: worker.clone(),
            entry,
            claimed_at: now,
            expires_at: now + policies.lease.lease,
            redeliveries: 0,
            cancelled: false,
            progress: None,
        };
        after.lease = Some(lease.clone());
        if becomes_owner {
            after.assign(worker, now);
        }
        if let Some(owner) = &mut after.owner {
            owner.seen_at = Some(now);
        }
        after.touch(now, policies);
        Ok(Claimed { after, lease, becomes_owner })
    }

    /// Ends the lease `id` without success: the message waits for its retry, or is a dead letter.
    ///
    /// # Errors
    /// `NotHeld` when `id` is not the lease in force.
    pub fn fail(
        &self,
        id: &LeaseId,
        failure: Failure,
        jitter: f64,
        now: Timestamp,
        policies: &Policies,
    ) -> Result<GivenBack, NotHeld> {
        match &self.lease {
            Some(lease) if &lease.id == id => {
                Ok(self.give_back(lease, failure, false, jitter, now, policies))
            }
            _ => Err(self.not_held(id)),
        }
    }

    /// Ends a lease that has expired, or whose worker is `gone`; `None` when there is nothing to recover.
    pub fn recover(&self, gone: bool, jitter: f64, now: Timestamp, policies: &Policies) -> Option<GivenBack> {
        let lease = self.lease.as_ref()?;
        let error = if lease.expires_at <= now {
            format!("lease expired: worker {} sent no heartbeat", lease.worker)
        } else if gone {
            format!("worker {} is gone", lease.worker)
        } else {
            return None;
        };
        Some(self.give_back(lease, Failure { error, retryable: true }, true, jitter, now, policies))
    }

    /// What a call under lease `id` is told when that lease is not in force.
    pub fn not_held(&self, id: &LeaseId) -> NotHeld {
        match &self.last {
            Some(settled) if &settled.lease == id && !settled.recovered => NotHeld::Settled(settled.outcome),
            _ => NotHeld::Stale,
        }
    }

    fn give_back(
        &self,
        lease: &Lease,
        failure: Failure,
        recovered: bool,
        jitter: f64,
        now: Timestamp,
        policies: &Policies,
    ) -> GivenBack {
        let mut after = self.clone();
        let mut entry = lease.entry.clone();
        let outcome = if failure.retryable && entry.attempts < entry.attempts_max {
            entry.not_before = now + policies.retry_delay(entry.attempts, jitter);
            after.queue.put_back(entry.clone());
            Outcome::Requeued { not_before: entry.not_before }
        } else {
            Outcome::DeadLettered
        };
        after.lease = None;
        after.last = Some(Settled { lease: lease.id.clone(), outcome, recovered });
        after.active_at = now;
        after.touch(now, policies);
        GivenBack { after, entry, outcome, error: failure.error }
    }

    /// Makes `worker` the owner.
    fn assign(&mut self, worker: &WorkerId, now: Timestamp) {
        self.owner = Some(Owner {
            worker: worker.clone(),
            state: OwnerState::Active,
            seen_at: None,
            assigned_at: now,
            wanted_elsewhere: false,
        });
    }

    /// The conversation with `worker` as its owner, or `None` when it has one.
    #[must_use]
    pub fn assigned_to(
        &self,
        worker: &WorkerId,
        now: Timestamp,
        policies: &Policies,
    ) -> Option<Conversation> {
        if self.owner.is_some() || self.lease.is_some() {
            return None;
        }
        let mut after = self.clone();
        after.assign(worker, now);
        after.touch(now, policies);
        Some(after)
    }

    /// The conversation without its owner, back in the ready index; `None` while a message runs, or when
    /// `worker` is not the owner.
    #[must_use]
    pub fn released_by(
        &self,
        worker: &WorkerId,
        now: Timestamp,
        policies: &Policies,
    ) -> Option<Conversation> {
        if self.lease.is_some() || self.owner.as_ref().is_none_or(|o| &o.worker != worker) {
            return None;
        }
        let mut after = self.clone();
        after.owner = None;
        after.touch(now, policies);
        Some(after)
    }

    /// The conversation with its index keys as they should be at `now`; `None` when they are so already.
    #[must_use]
    pub fn with_keys_repaired(&self, now: Timestamp, policies: &Policies) -> Option<Conversation> {
        let mut after = self.clone();
        after.touch(now, policies);
        (after.ready != self.ready || after.behind != self.behind).then_some(after)
    }

    /// Whether lease `id` is the one in force.
    pub fn holds(&self, id: &LeaseId) -> bool {
        self.lease.as_ref().is_some_and(|l| &l.id == id)
    }

    /// Which message runs now.
    pub fn running(&self) -> Option<&MessageId> {
        self.lease.as_ref().map(|l| &l.entry.message)
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
