//! The lease: claim, failure and recovery. A lease ends once, either by its holder or by recovery.

use super::queue::Entry;
use super::state::{Conversation, EndedLease, Lease, Outcome, OwnerState};
use crate::attempt::EndedBy;
use crate::ids::{LeaseId, LeaseParts, MessageId, WorkerId};
use crate::policy::Policies;
use crate::time::{Millis, Timestamp};
use crate::usage::Usage;

/// The reason why a claim of this conversation is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimRefusal {
    /// The worker already runs a message, under this lease.
    Leased(LeaseId),
    /// Another worker owns the conversation.
    OwnedByAnother,
    /// The worker owns it but is draining.
    Draining,
    /// No message is due.
    NothingDue,
}

/// The result of a claim.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The conversation after the claim.
    pub after: Conversation,
    /// The new lease.
    pub lease: Lease,
    /// Whether the worker becomes the owner with this claim.
    pub becomes_owner: bool,
}

/// How many attempts of a message a drain may cut off without counting them. Without this limit, a message that always
/// runs longer than the drain timeout would be retried forever.
pub const MAX_UNCOUNTED_DRAINS: u32 = 3;

/// What the error of an attempt begins with that ended because its run was too long.
const RUN_TIMEOUT: &str = "run_timeout";
/// Longest wait that the other side of a failed attempt may ask for. Rate limits of a day end within hours for a part of
/// the requests, and a message must not disappear for longer because of one answer.
pub const MAX_RETRY_AFTER: Millis = Millis::from_secs(6 * 60 * 60);

/// The reason why recovery ends a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoverCause {
    /// The lease has expired.
    Expired,
    /// The worker is gone, even if the lease has not expired.
    WorkerGone,
    /// The system drains the worker and the drain timeout is over, even if the lease has not expired.
    Drained,
    /// The run is longer than the policy allows, even if heartbeats keep its lease.
    RunTimeout,
}

/// The failure of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The text that is recorded as the last error of the message.
    pub error: String,
    /// Whether another attempt can succeed.
    pub retryable: bool,
    /// How long the other side asked to wait, such as a model's server that is busy. The next attempt waits for the
    /// longer of this and its backoff.
    pub retry_after: Option<Millis>,
}

/// An attempt that ended without success.
#[derive(Clone, Debug)]
pub struct FailedAttempt {
    /// The conversation after the attempt.
    pub after: Conversation,
    /// The entry of the message, with the updated attempt counts.
    pub entry: Entry,
    /// Whether the message is queued for a retry, a dead letter or cancelled.
    pub outcome: Outcome,
    /// The text that is recorded as the last error of the message.
    pub error: String,
    /// Who ended the lease.
    pub ended_by: EndedBy,
    /// What the attempt has used, as its worker reported it.
    pub usage: Option<Usage>,
}

/// How a lease ends without success.
struct Ending {
    entry: Entry,
    outcome: Outcome,
    error: String,
    ended_by: EndedBy,
}

/// The reason why a lease is not in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseError {
    /// The holder already ended the lease, with this outcome. The call is most likely a repetition.
    AlreadyEnded(Outcome),
    /// Another lease, or no lease, is in force.
    Stale,
}

impl Conversation {
    /// Claims the head of the queue for `worker`, which becomes the owner if there is none. It is refused if a
    /// lease is in force, another worker owns the conversation, or no message is due.
    pub fn claim(
        &self,
        worker: &WorkerId,
        nonce: u64,
        now: Timestamp,
        policies: &Policies,
    ) -> Result<Claimed, ClaimRefusal> {
        if let Some(lease) = &self.lease {
            // The answer does not contain the lease id of another worker: a caller with that id could fetch
            // the message.
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
        after.held_until = None;
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
        after.update_keys(now, policies);
        Ok(Claimed { after, lease, becomes_owner })
    }

    /// Ends the lease `id` without success: the message is queued for a retry, or becomes a dead letter.
    /// Returns `LeaseError` if `id` is not the lease in force.
    pub fn fail(
        &self,
        id: &LeaseId,
        failure: Failure,
        jitter: f64,
        now: Timestamp,
        policies: &Policies,
    ) -> Result<FailedAttempt, LeaseError> {
        match &self.lease {
            Some(lease) if &lease.id == id => {
                Ok(self.fail_attempt(lease, failure, EndedBy::Worker, jitter, now, policies))
            }
            _ => Err(self.lease_error(id)),
        }
    }

    /// Ends the lease `id` because its worker must leave. It works like `fail`, but the attempt does not count
    /// if the system drains the owner.
    pub fn fail_drained(
        &self,
        id: &LeaseId,
        error: String,
        jitter: f64,
        now: Timestamp,
        policies: &Policies,
    ) -> Result<FailedAttempt, LeaseError> {
        match &self.lease {
            Some(lease) if &lease.id == id && self.is_drained(&lease.worker) => {
                Ok(self.requeue_drained(lease, &error, EndedBy::Worker, jitter, now, policies))
            }
            _ => self.fail(id, Failure { error, retryable: true, retry_after: None }, jitter, now, policies),
        }
    }

    /// Ends an expired lease, or a lease that `cause` allows to end earlier. Returns `None` if there is
    /// nothing to recover.
    pub fn recover(
        &self,
        cause: RecoverCause,
        jitter: f64,
        now: Timestamp,
        policies: &Policies,
    ) -> Option<FailedAttempt> {
        let lease = self.lease.as_ref()?;
        let worker = &lease.worker;
        let error = match cause {
            RecoverCause::RunTimeout if self.has_run_too_long(now, policies) => {
                format!("{RUN_TIMEOUT}: it ran on worker {worker} for more than {}", policies.lease.max_run)
            }
            RecoverCause::RunTimeout => return None,
            _ if lease.expires_at <= now => format!("lease expired: worker {worker} sent no heartbeat"),
            RecoverCause::Expired => return None,
            RecoverCause::WorkerGone => format!("worker {worker} is gone"),
            RecoverCause::Drained if self.is_drained(worker) => {
                let why = format!("worker {worker} had to leave before the message was done");
                return Some(self.requeue_drained(lease, &why, EndedBy::Recovery, jitter, now, policies));
            }
            RecoverCause::Drained => return None,
        };
        // A retry would block the conversation for as long again.
        let retryable = cause != RecoverCause::RunTimeout;
        let failure = Failure { error, retryable, retry_after: None };
        Some(self.fail_attempt(lease, failure, EndedBy::Recovery, jitter, now, policies))
    }

    /// Whether the run of the lease in force is longer than the policy allows.
    pub fn has_run_too_long(&self, now: Timestamp, policies: &Policies) -> bool {
        self.lease.as_ref().is_some_and(|lease| now >= lease.claimed_at + policies.lease.max_run)
    }

    fn is_drained(&self, worker: &WorkerId) -> bool {
        self.owner.as_ref().is_some_and(|o| &o.worker == worker && o.state == OwnerState::Draining)
    }

    /// Returns why the lease `id` is not in force.
    pub fn lease_error(&self, id: &LeaseId) -> LeaseError {
        match &self.last {
            Some(settled) if &settled.lease == id && !settled.recovered => {
                LeaseError::AlreadyEnded(settled.outcome)
            }
            _ => LeaseError::Stale,
        }
    }

    /// Queues the message again at once and does not count the attempt. An attempt after too many drains
    /// counts as a failure.
    fn requeue_drained(
        &self,
        lease: &Lease,
        why: &str,
        ended_by: EndedBy,
        jitter: f64,
        now: Timestamp,
        policies: &Policies,
    ) -> FailedAttempt {
        let mut entry = lease.entry.clone();
        if entry.drained >= MAX_UNCOUNTED_DRAINS {
            let error =
                format!("drained more than {MAX_UNCOUNTED_DRAINS} times, so this attempt counts: {why}");
            let failure = Failure { error, retryable: true, retry_after: None };
            return self.fail_attempt(lease, failure, ended_by, jitter, now, policies);
        }
        entry.drained += 1;
        entry.not_before = Timestamp::default();
        let outcome =
            if lease.cancelled { Outcome::Cancelled } else { Outcome::Requeued { not_before: now } };
        let error = format!("drained: {why}");
        self.ended(lease, Ending { entry, outcome, error, ended_by }, now, policies)
    }

    pub(super) fn fail_attempt(
        &self,
        lease: &Lease,
        failure: Failure,
        ended_by: EndedBy,
        jitter: f64,
        now: Timestamp,
        policies: &Policies,
    ) -> FailedAttempt {
        let mut entry = lease.entry.clone();
        let attempts = entry.attempts_counted();
        let outcome = if lease.cancelled {
            Outcome::Cancelled
        } else if failure.retryable && attempts < entry.max_attempts {
            let backoff = policies.retry_delay(attempts, jitter);
            let asked = failure.retry_after.unwrap_or_default().min(MAX_RETRY_AFTER);
            entry.not_before = now + backoff.max(asked);
            Outcome::Requeued { not_before: entry.not_before }
        } else {
            Outcome::DeadLettered
        };
        self.ended(lease, Ending { entry, outcome, error: failure.error, ended_by }, now, policies)
    }

    /// The steps that every end without success has in common.
    fn ended(&self, lease: &Lease, ending: Ending, now: Timestamp, policies: &Policies) -> FailedAttempt {
        let Ending { entry, outcome, error, ended_by } = ending;
        let mut after = self.clone();
        if let Outcome::Requeued { .. } = outcome {
            after.queue.put_back(entry.clone());
        }
        after.lease = None;
        let recovered = ended_by != EndedBy::Worker;
        after.last = Some(EndedLease { lease: lease.id.clone(), outcome, recovered });
        after.active_at = now;
        after.update_keys(now, policies);
        FailedAttempt { after, entry, outcome, error, ended_by, usage: None }
    }

    /// Whether the lease `id` is in force.
    pub fn holds(&self, id: &LeaseId) -> bool {
        self.lease.as_ref().is_some_and(|l| &l.id == id)
    }

    /// The message that runs now.
    pub fn running(&self) -> Option<&MessageId> {
        self.lease.as_ref().map(|l| &l.entry.message)
    }
}
