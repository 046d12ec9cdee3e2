//! A worker: one life of one machine.
//!
//! ```text
//!   active ──drain──▶ draining ──settle──▶ stopping ──gone──▶ stopped
//! ```
//!
//! No step back, no step over; `stopped` is final for that id. An active worker may claim; a draining one
//! finishes what it runs and uploads its final snapshot, until `drain_by` at the latest; a stopping one owns nothing
//! any more and its machine is being taken down; a stopped one is history.

use std::fmt;

use crate::ids::{AgentKey, ConversationId, ConversationKey, SnapshotId, WorkerId};
use crate::policy::Policies;
use crate::time::{MAX_REPLICATION_LAG, Millis, Timestamp};

/// How long a worker's token is good for. It is made together with the row.
pub const TOKEN_GOOD_FOR: Millis = Millis::from_days(30);
/// What is left of its token when a worker has had its whole time to leave.
const TOKEN_LEFT_OVER: Millis = Millis::from_secs(60 * 60);

/// Where a worker stands in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerStatus {
    /// It may claim.
    Active,
    /// It finishes and leaves.
    Draining {
        /// The latest moment it may take.
        drain_by: Timestamp,
        /// Why it was told to leave.
        reason: DrainReason,
    },
    /// Its machine is being taken down.
    Stopping {
        /// Since when.
        since: Timestamp,
    },
    /// Over.
    Stopped {
        /// Since when.
        at: Timestamp,
    },
}

/// Why a worker is told to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainReason {
    /// Nobody talked for the idle timeout.
    Idle,
    /// No sign of life for the stale limit.
    Stale,
    /// Its machine is not there or not running.
    MachineGone,
    /// An operator asked for it, or the whole pool is going down.
    Operator,
    /// It leaves by itself, or because its machine was told to stop, and it said so.
    Signal,
    /// The provider config has another image, or another app, than it was started with.
    Outdated,
    /// Its token is about to end.
    TokenEnds,
    /// Its row names a conversation whose owner is another worker.
    Duplicate,
}

impl DrainReason {
    const ALL: [Self; 8] = [
        Self::Idle,
        Self::Stale,
        Self::MachineGone,
        Self::Operator,
        Self::Signal,
        Self::Outdated,
        Self::TokenEnds,
        Self::Duplicate,
    ];

    /// The reason as it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            DrainReason::Idle => "idle",
            DrainReason::Stale => "stale",
            DrainReason::MachineGone => "machine_gone",
            DrainReason::Operator => "operator",
            DrainReason::Signal => "signal",
            DrainReason::Outdated => "outdated",
            DrainReason::TokenEnds => "token_ends",
            DrainReason::Duplicate => "duplicate",
        }
    }

    /// Whether the drain is our own doing: a message that it cuts off has done nothing wrong. A worker that fell silent
    /// or whose machine ended may have been brought down by its message.
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

    /// Whether only a worker without work is drained for it: there is no hurry.
    pub const fn wants_quiet(self) -> bool {
        matches!(self, DrainReason::Idle | DrainReason::Outdated)
    }

    /// Reads a stored reason.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.as_str() == text)
    }
}

impl fmt::Display for DrainReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl WorkerStatus {
    /// Whether it may still do something: a stopping worker has settled everything.
    pub const fn is_live(&self) -> bool {
        matches!(self, WorkerStatus::Active | WorkerStatus::Draining { .. })
    }

    /// The status in the system's words.
    pub const fn name(&self) -> &'static str {
        match self {
            WorkerStatus::Active => "active",
            WorkerStatus::Draining { .. } => "draining",
            WorkerStatus::Stopping { .. } => "stopping",
            WorkerStatus::Stopped { .. } => "stopped",
        }
    }
}

/// The conversation a worker is assigned to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Its id.
    pub conversation: ConversationId,
    /// The partition its items live in.
    pub key: ConversationKey,
    /// Its agent.
    pub agent: AgentKey,
    /// Since when.
    pub assigned_at: Timestamp,
}

impl Assignment {
    /// Whether it was made long enough ago for every reader to see it in the conversation, too.
    pub fn is_seen_by_all(&self, now: Timestamp) -> bool {
        now.since(self.assigned_at) >= MAX_REPLICATION_LAG
    }
}

/// A machine, as its provider names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The provider's app (or folder) it belongs to.
    pub app: String,
    /// The provider's id of it.
    pub id: String,
    /// Where it runs.
    pub region: String,
}

/// A worker's volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Its name, chosen before it exists: whoever finds the row of a process that died finds the volume.
    pub name: String,
    /// The provider's id of it, once the provider has answered.
    pub id: Option<String>,
}

/// A worker's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worker {
    /// Its id.
    pub id: WorkerId,
    /// Kind of provider that runs it; `manual` for one started by hand.
    pub provider: String,
    /// The provider's app (or folder) in which its machine and volume are made; none for one started by hand.
    pub app: Option<String>,
    /// Where it stands.
    pub status: WorkerStatus,
    /// When its row was made.
    pub registered_at: Timestamp,
    /// Its last sign of life while it was assigned to nothing; with an assignment the conversation knows better.
    pub seen_at: Option<Timestamp>,
    /// Since when it has been without work, as far as the row knows.
    pub quiet_since: Timestamp,
    /// What it is assigned to.
    pub assignment: Option<Assignment>,
    /// What its machine was started with; none for one started by hand, or where the provider needs none.
    pub image: Option<String>,
    /// Its volume, where its provider has volumes.
    pub volume: Option<Volume>,
    /// Its machine, once the provider has answered.
    pub machine: Option<Machine>,
    /// When it last claimed, as far as the row knows; with an assignment the conversation knows better.
    pub last_claim_at: Option<Timestamp>,
    /// The last snapshot that it made.
    pub last_snapshot: Option<SnapshotId>,
    /// Whether it left without the final snapshot that it owed.
    pub snapshot_missed: bool,
}

/// A step that the worker's status does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a worker that is {from} cannot become {to}")]
pub struct StepRefused {
    /// Its status.
    pub from: &'static str,
    /// The status asked for.
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
        }
    }

    /// The provider's app that its machine is in, or may be.
    pub fn app(&self) -> Option<&str> {
        self.machine.as_ref().map(|m| m.app.as_str()).or(self.app.as_deref())
    }

    /// Told to leave.
    ///
    /// # Errors
    /// `StepRefused` unless it is active.
    pub fn drain(
        mut self,
        reason: DrainReason,
        now: Timestamp,
        policies: &Policies,
    ) -> Result<Self, StepRefused> {
        match self.status {
            WorkerStatus::Active => {
                self.status =
                    WorkerStatus::Draining { drain_by: now + policies.scaling.drain_timeout, reason };
                Ok(self)
            }
            ref other => Err(StepRefused { from: other.name(), to: "draining" }),
        }
    }

    /// Everything it owed is settled: its machine may go.
    ///
    /// # Errors
    /// `StepRefused` unless it is draining.
    pub fn settle(mut self, now: Timestamp) -> Result<Self, StepRefused> {
        match self.status {
            WorkerStatus::Draining { .. } => {
                self.status = WorkerStatus::Stopping { since: now };
                self.assignment = None;
                Ok(self)
            }
            ref other => Err(StepRefused { from: other.name(), to: "stopping" }),
        }
    }

    /// Its machine and volume are gone.
    ///
    /// # Errors
    /// `StepRefused` unless it is stopping.
    pub fn gone(mut self, now: Timestamp) -> Result<Self, StepRefused> {
        match self.status {
            WorkerStatus::Stopping { .. } => {
                self.status = WorkerStatus::Stopped { at: now };
                self.machine = None;
                self.volume = None;
                Ok(self)
            }
            ref other => Err(StepRefused { from: other.name(), to: "stopped" }),
        }
    }

    /// When its token ends.
    pub fn token_ends_at(&self) -> Timestamp {
        self.registered_at + TOKEN_GOOD_FOR
    }

    /// Whether its token ends within this time.
    pub fn has_token_for_less_than(&self, time: Millis, now: Timestamp) -> bool {
        now + time > self.token_ends_at()
    }

    /// Whether it must leave now, busy or not, to have time for its message and its files before its token ends.
    pub fn must_leave_for_its_token(&self, now: Timestamp, policies: &Policies) -> bool {
        self.has_token_for_less_than(TOKEN_LEFT_OVER, now + policies.scaling.drain_timeout)
    }

    /// Whether it has been silent for too long, when its newest sign of life was at `seen`.
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
    fn the_life_of_a_worker_has_no_step_back_and_no_step_over() {
        let policies = Policies::default();
        let new = Worker::registered(WorkerId::parse("w").unwrap(), "local".into(), NOW);
        assert!(new.clone().settle(NOW).is_err() && new.clone().gone(NOW).is_err());
        let draining = new.drain(DrainReason::Idle, NOW, &policies).unwrap();
        assert!(draining.clone().drain(DrainReason::Stale, NOW, &policies).is_err());
        assert!(draining.clone().gone(NOW).is_err());
        let stopping = draining.settle(NOW).unwrap();
        assert!(stopping.clone().drain(DrainReason::Stale, NOW, &policies).is_err());
        let stopped = stopping.gone(NOW).unwrap();
        assert!(stopped.clone().settle(NOW).is_err() && stopped.gone(NOW).is_err());
    }

    #[test]
    fn a_worker_that_never_spoke_has_its_boot_grace() {
        let policies = Policies::default();
        let worker = Worker::registered(WorkerId::parse("w").unwrap(), "local".into(), NOW);
        let late = NOW + policies.lease.stale_after;
        assert!(!worker.is_stale(None, late, &policies));
        assert!(worker.is_stale(Some(NOW), late, &policies));
        assert!(worker.is_stale(None, NOW + policies.lease.boot_grace, &policies));
    }

    #[test]
    fn every_drain_reason_survives_being_stored() {
        for reason in DrainReason::ALL {
            assert_eq!(DrainReason::parse(reason.as_str()), Some(reason));
        }
    }
}
