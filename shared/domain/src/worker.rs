//! A worker: one run of one machine.
//!
//! ```text
//!   active ──drain──▶ draining ──finish_drain──▶ stopping ──gone──▶ stopped
//! ```
//!
//! The status never goes back and skips no step; `stopped` is final for that id. An active worker may claim. A draining worker
//! finishes its message and uploads its final snapshot, until `drain_by` at the latest. A stopping worker owns no
//! conversation, and its machine and volume are being removed. A stopped worker is history.

use std::fmt;

use crate::conversation::Conversation;
use crate::ids::{AgentKey, ConversationId, ConversationKey, SnapshotId, WorkerId};
use crate::named_enum;
use crate::policy::Policies;
use crate::time::{MAX_REPLICATION_LAG, Millis, Timestamp};

/// The provider of a worker that was started by hand.
pub const MANUAL: &str = "manual";
/// How long a worker's token is valid. It begins with the row.
pub const TOKEN_GOOD_FOR: Millis = Millis::from_days(30);
/// How long the token is still valid when a worker has used its whole drain time.
const TOKEN_LEFT_OVER: Millis = Millis::from_secs(60 * 60);

/// The status of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerStatus {
    /// It may claim.
    Active,
    /// It finishes its work and claims nothing.
    Draining {
        /// The deadline of the drain.
        drain_by: Timestamp,
        /// Why it is drained.
        reason: DrainReason,
    },
    /// Its machine and volume are being removed.
    Stopping {
        /// Since when.
        since: Timestamp,
    },
    /// It has ended.
    Stopped {
        /// Since when.
        at: Timestamp,
    },
}

named_enum! {
    /// Why a worker is drained.
    pub enum DrainReason {
        /// It had no work for the idle timeout.
        Idle = "idle",
        /// It gave no sign of life for the stale limit.
        Stale = "stale",
        /// Its machine does not exist or does not run.
        MachineGone = "machine_gone",
        /// An operator asked for it, or the whole pool is shut down.
        Operator = "operator",
        /// The worker asked for it, or its machine was asked to stop and the worker reported it.
        Signal = "signal",
        /// The provider config has another image or app than the worker was started with.
        Outdated = "outdated",
        /// Its token is about to end.
        TokenEnds = "token_ends",
        /// Its row names a conversation whose owner is another worker.
        Duplicate = "duplicate",
    }
}

impl DrainReason {
    /// Whether the drain is our own decision. Then the message that it interrupts is not at fault. The message of a worker
    /// that fell silent or whose machine ended may have caused that.
    pub const fn is_our_doing(self) -> bool {
        match self {
            DrainReason::Idle
            | DrainReason::Operator
            | DrainReason::Outdated
            | DrainReason::TokenEnds
            | DrainReason::Duplicate => true,
            DrainReason::Stale | DrainReason::MachineGone | DrainReason::Signal => false,
        }
    }

    /// Whether only a worker without work is drained for this reason.
    pub const fn wants_quiet(self) -> bool {
        matches!(self, DrainReason::Idle | DrainReason::Outdated)
    }
}

impl fmt::Display for DrainReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl WorkerStatus {
    /// Whether the worker may still run a message or upload a snapshot.
    pub const fn is_live(&self) -> bool {
        matches!(self, WorkerStatus::Active | WorkerStatus::Draining { .. })
    }

    /// The name of the status, as it is stored and shown.
    pub const fn name(&self) -> &'static str {
        match self {
            WorkerStatus::Active => "active",
            WorkerStatus::Draining { .. } => "draining",
            WorkerStatus::Stopping { .. } => "stopping",
            WorkerStatus::Stopped { .. } => "stopped",
        }
    }
}

/// The conversation that a worker is assigned to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The conversation's id.
    pub conversation: ConversationId,
    /// The partition of its items.
    pub key: ConversationKey,
    /// Its agent.
    pub agent: AgentKey,
    /// Since when.
    pub assigned_at: Timestamp,
}

impl Assignment {
    /// The assignment to `conversation` at `now`.
    pub fn to(conversation: &Conversation, now: Timestamp) -> Self {
        Self {
            conversation: conversation.id.clone(),
            key: conversation.key.clone(),
            agent: conversation.agent.clone(),
            assigned_at: now,
        }
    }

    /// Whether it is old enough for every reader to see it in the conversation too.
    pub fn is_seen_by_all(&self, now: Timestamp) -> bool {
        now.since(self.assigned_at) >= MAX_REPLICATION_LAG
    }
}

/// A machine, as its provider names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The provider's app that it is in.
    pub app: String,
    /// The provider's id of the machine.
    pub id: String,
    /// Its region.
    pub region: String,
}

/// A worker's volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Its name. It is chosen before the volume exists, so that the volume is found by its row even when the process that
    /// created it died.
    pub name: String,
    /// The provider's id of the volume, after the provider has answered.
    pub id: Option<String>,
}

/// A worker's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worker {
    /// Its id.
    pub id: WorkerId,
    /// The kind of the provider that runs it; `manual` for a worker that was started by hand.
    pub provider: String,
    /// The provider's app that its machine and volume are created in; `None` for a worker that was started by hand.
    pub app: Option<String>,
    /// Its status.
    pub status: WorkerStatus,
    /// When its row was written.
    pub registered_at: Timestamp,
    /// Its last sign of life without an assignment. With an assignment, the conversation has a newer one.
    pub seen_at: Option<Timestamp>,
    /// Since when it has had no work. With an assignment, the conversation may have a newer time.
    pub quiet_since: Timestamp,
    /// The conversation that it is assigned to.
    pub assignment: Option<Assignment>,
    /// The image of its machine; `None` for a worker that was started by hand, or when the provider needs no image.
    pub image: Option<String>,
    /// Its volume, where its provider has volumes.
    pub volume: Option<Volume>,
    /// Its machine, after the provider has answered.
    pub machine: Option<Machine>,
    /// When it claimed last. With an assignment, the conversation may have a newer time.
    pub last_claim_at: Option<Timestamp>,
    /// The last snapshot that it uploaded.
    pub last_snapshot: Option<SnapshotId>,
    /// Whether it stopped without the final snapshot that it owed.
    pub snapshot_missed: bool,
    /// Why it was drained; only after its drain.
    pub drained_for: Option<DrainReason>,
}

/// A step that the worker's status does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a worker that is {from} cannot become {to}")]
pub struct StepRefused {
    /// Its status.
    pub from: &'static str,
    /// The requested status.
    pub to: &'static str,
}

impl Worker {
    /// The row of a new worker.
    pub const fn registered(id: WorkerId, provider: String, now: Timestamp) -> Self {
        Self {
            id,
            provider,
            app: None,
            status: WorkerStatus::Active,
            registered_at: now,
            seen_at: None,
            quiet_since: now,
            assignment: None,
            image: None,
            volume: None,
            machine: None,
            last_claim_at: None,
            last_snapshot: None,
            snapshot_missed: false,
            drained_for: None,
        }
    }

    /// Whether it was started by hand.
    pub fn is_manual(&self) -> bool {
        self.provider == MANUAL
    }

    /// The provider's app that its machine is in, or may be in.
    pub fn app(&self) -> Option<&str> {
        self.machine.as_ref().map(|m| m.app.as_str()).or(self.app.as_deref())
    }

    /// Begins the drain of an active worker.
    pub fn drain(
        self,
        reason: DrainReason,
        now: Timestamp,
        policies: &Policies,
    ) -> Result<Self, StepRefused> {
        let WorkerStatus::Active = self.status else { return Err(self.refused("draining")) };
        let drain_by = now + policies.scaling.drain_timeout;
        Ok(Self { status: WorkerStatus::Draining { drain_by, reason }, ..self })
    }

    /// Ends the drain: its message has ended and its final snapshot is there or given up. The worker must be
    /// draining. Its row keeps what `owned`, the conversation that it leaves, knows of it.
    pub fn finish_drain(self, owned: Option<&Conversation>, now: Timestamp) -> Result<Self, StepRefused> {
        let WorkerStatus::Draining { reason, .. } = self.status else { return Err(self.refused("stopping")) };
        let owner = owned.and_then(|conversation| conversation.owner.as_ref());
        Ok(Self {
            status: WorkerStatus::Stopping { since: now },
            assignment: None,
            seen_at: self.seen_at.max(owner.and_then(|owner| owner.seen_at)),
            last_claim_at: self.last_claim_at.max(owner.and_then(|owner| owner.claimed_at)),
            drained_for: Some(reason),
            ..self
        })
    }

    /// Why it drains, or was drained.
    pub const fn drain_reason(&self) -> Option<DrainReason> {
        match self.status {
            WorkerStatus::Draining { reason, .. } => Some(reason),
            WorkerStatus::Active | WorkerStatus::Stopping { .. } | WorkerStatus::Stopped { .. } => {
                self.drained_for
            }
        }
    }

    /// Ends the teardown: its machine and volume are removed. The worker must be stopping.
    pub fn gone(self, now: Timestamp) -> Result<Self, StepRefused> {
        let WorkerStatus::Stopping { .. } = self.status else { return Err(self.refused("stopped")) };
        Ok(Self { status: WorkerStatus::Stopped { at: now }, machine: None, volume: None, ..self })
    }

    const fn refused(&self, to: &'static str) -> StepRefused {
        StepRefused { from: self.status.name(), to }
    }

    /// When its token expires.
    pub fn token_ends_at(&self) -> Timestamp {
        self.registered_at + TOKEN_GOOD_FOR
    }

    /// Whether its token expires within this time.
    pub fn has_token_for_less_than(&self, time: Millis, now: Timestamp) -> bool {
        now + time > self.token_ends_at()
    }

    /// Whether it must be drained now, even if it has work, so that its message and its snapshot are finished before its
    /// token expires.
    pub fn must_leave_for_its_token(&self, now: Timestamp, policies: &Policies) -> bool {
        self.has_token_for_less_than(TOKEN_LEFT_OVER, now + policies.scaling.drain_timeout)
    }

    /// Whether it has been silent for too long. `seen` is its newest sign of life.
    pub fn is_stale(&self, seen: Option<Timestamp>, now: Timestamp, policies: &Policies) -> bool {
        match seen {
            Some(seen) => now.since(seen) >= policies.lease.stale_after,
            None => now.since(self.registered_at) >= policies.lease.boot_grace,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    #[test]
    fn the_status_of_a_worker_never_goes_back_and_skips_no_step() {
        let policies = Policies::default();
        let new = Worker::registered(WorkerId::parse("w").unwrap(), "local".into(), NOW);
        assert!(new.clone().finish_drain(None, NOW).is_err() && new.clone().gone(NOW).is_err());
        let draining = new.drain(DrainReason::Idle, NOW, &policies).unwrap();
        assert!(draining.clone().drain(DrainReason::Stale, NOW, &policies).is_err());
        assert!(draining.clone().gone(NOW).is_err());
        let stopping = draining.finish_drain(None, NOW).unwrap();
        assert!(stopping.clone().drain(DrainReason::Stale, NOW, &policies).is_err());
        let stopped = stopping.gone(NOW).unwrap();
        assert!(stopped.clone().finish_drain(None, NOW).is_err() && stopped.gone(NOW).is_err());
    }

    #[test]
    fn a_worker_without_a_sign_of_life_has_its_boot_grace() {
        let policies = Policies::default();
        let worker = Worker::registered(WorkerId::parse("w").unwrap(), "local".into(), NOW);
        let late = NOW + policies.lease.stale_after;
        assert!(!worker.is_stale(None, late, &policies));
        assert!(worker.is_stale(Some(NOW), late, &policies));
        assert!(worker.is_stale(None, NOW + policies.lease.boot_grace, &policies));
    }

    #[test]
    fn every_drain_reason_is_read_back_from_its_stored_name() {
        for reason in DrainReason::ALL {
            assert_eq!(DrainReason::parse(reason.as_str()), Some(reason));
        }
    }
}
