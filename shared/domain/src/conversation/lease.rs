//! The lease: claiming, giving back, recovering. A lease ends once: by its holder, or by recovery.

use super::{Conversation, Entry, Lease, Outcome, OwnerState, Settled};
use crate::attempt::EndedBy;
use crate::ids::{LeaseId, LeaseParts, MessageId, WorkerId};
use crate::policy::Policies;
use crate::time::Timestamp;

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

/// How often a message that was cut off by a drain goes back without its attempt being counted. Whoever keeps
/// draining the workers of a message that runs longer than a drain may take would otherwise keep it for ever.
pub const MAX_DRAINED: u32 = 3;

/// Why recovery ends a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It has expired.
    Expired,
    /// Its worker is gone, whatever the lease says.
    WorkerGone,
    /// Its worker drains by our order and its time is up, whatever the lease says.
    Drained,
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
    /// Who ended the lease.
    pub ended_by: EndedBy,
}

/// How a lease ends without success.
struct Ending {
    entry: Entry,
    outcome: Outcome,
    error: String,
    ended_by: EndedBy,
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
            claimed_at: now,
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
            owner.claimed_at = Some(now);
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
                Ok(self.give_back(lease, failure, EndedBy::Worker, jitter, now, policies))
            }
            _ => Err(self.not_held(id)),
        }
    }

    /// Ends the lease `id` because its worker had to leave: as `fail`, but the attempt does not count, when it was we
    /// who told the owner to leave.
    ///
    /// # Errors
    /// As `fail`.
    pub fn fail_drained(
        &self,
        id: &LeaseId,
        error: String,
        jitter: f64,
        now: Timestamp,
        policies: &Policies,
    ) -> Result<GivenBack, NotHeld> {
        match &self.lease {
            Some(lease) if &lease.id == id && self.is_drained(&lease.worker) => {
                Ok(self.give_back_drained(lease, &error, EndedBy::Worker, jitter, now, policies))
            }
            _ => self.fail(id, Failure { error, retryable: true }, jitter, now, policies),
        }
    }

    /// Ends a lease that has expired, or, by `cut`, one that has not; `None` when there is nothing to recover.
    pub fn recover(&self, cut: Cut, jitter: f64, now: Timestamp, policies: &Policies) -> Option<GivenBack> {
        let lease = self.lease.as_ref()?;
        let worker = &lease.worker;
        let error = match cut {
            _ if lease.expires_at <= now => format!("lease expired: worker {worker} sent no heartbeat"),
            Cut::Expired => return None,
            Cut::WorkerGone => format!("worker {worker} is gone"),
            Cut::Drained if self.is_drained(worker) => {
                let why = format!("worker {worker} had to leave before the message was done");
                return Some(self.give_back_drained(lease, &why, EndedBy::Recovery, jitter, now, policies));
            }
            Cut::Drained => return None,
        };
        let failure = Failure { error, retryable: true };
        Some(self.give_back(lease, failure, EndedBy::Recovery, jitter, now, policies))
    }

    fn is_drained(&self, worker: &WorkerId) -> bool {
        self.owner.as_ref().is_some_and(|o| &o.worker == worker && o.state == OwnerState::Draining)
    }

    /// What a call under lease `id` is told when that lease is not in force.
    pub fn not_held(&self, id: &LeaseId) -> NotHeld {
        match &self.last {
            Some(settled) if &settled.lease == id && !settled.recovered => NotHeld::Settled(settled.outcome),
            _ => NotHeld::Stale,
        }
    }

    /// Gives a message back at once and uncounted; one that has been so too often, as a failure.
    fn give_back_drained(
        &self,
        lease: &Lease,
        why: &str,
        ended_by: EndedBy,
        jitter: f64,
        now: Timestamp,
        policies: &Policies,
    ) -> GivenBack {
        let mut entry = lease.entry.clone();
        if entry.drained >= MAX_DRAINED {
            let error = format!("drained more than {MAX_DRAINED} times, so it counts: {why}");
            let failure = Failure { error, retryable: true };
            return self.give_back(lease, failure, ended_by, jitter, now, policies);
        }
        entry.drained += 1;
        entry.not_before = Timestamp::default();
        let outcome =
            if lease.cancelled { Outcome::Cancelled } else { Outcome::Requeued { not_before: now } };
        let error = format!("drained: {why}");
        self.ended(lease, Ending { entry, outcome, error, ended_by }, now, policies)
    }

    pub(super) fn give_back(
        &self,
        lease: &Lease,
        failure: Failure,
        ended_by: EndedBy,
        jitter: f64,
        now: Timestamp,
        policies: &Policies,
    ) -> GivenBack {
        let mut entry = lease.entry.clone();
        let attempts = entry.attempts_counted();
        let outcome = if lease.cancelled {
            Outcome::Cancelled
        } else if failure.retryable && attempts < entry.max_attempts {
            entry.not_before = now + policies.retry_delay(attempts, jitter);
            Outcome::Requeued { not_before: entry.not_before }
        } else {
            Outcome::DeadLettered
        };
        self.ended(lease, Ending { entry, outcome, error: failure.error, ended_by }, now, policies)
    }

    /// What every end without success has in common.
    fn ended(&self, lease: &Lease, ending: Ending, now: Timestamp, policies: &Policies) -> GivenBack {
        let Ending { entry, outcome, error, ended_by } = ending;
        let mut after = self.clone();
        if let Outcome::Requeued { .. } = outcome {
            after.queue.put_back(entry.clone());
        }
        after.lease = None;
        let recovered = ended_by != EndedBy::Worker;
        after.last = Some(Settled { lease: lease.id.clone(), outcome, recovered });
        after.active_at = now;
        after.touch(now, policies);
        GivenBack { after, entry, outcome, error, ended_by }
    }

    /// Whether lease `id` is the one in force.
    pub fn holds(&self, id: &LeaseId) -> bool {
        self.lease.as_ref().is_some_and(|l| &l.id == id)
    }

    /// Which message runs now.
    pub fn running(&self) -> Option<&MessageId> {
        self.lease.as_ref().map(|l| &l.entry.message)
    }
}
