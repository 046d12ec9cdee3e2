//! The pool planner: from what a run has observed to a list of actions, each with its reason, and a list of what it waits
//! for. It is pure, so that a dry run shows exactly what a real run would do.

mod demand;
mod orphans;
mod plan;
mod reconcile_state;
mod starting;

pub use plan::plan;
pub use reconcile_state::{ForeignCounts, Orphan, ReconcileState};

use std::collections::BTreeMap;
use std::fmt;

use crate::conversation::{Conversation, ReadyKey, RecoverCause};
use crate::ids::{ConversationKey, WorkerId};
use crate::time::{Millis, Timestamp};
use crate::worker::{DrainReason, Worker};

/// How far ahead of its due time a conversation gets a worker. It is the period of the schedule: otherwise work that is due
/// just after a tick would wait for the next tick. A worker needs that time to boot anyway.
pub const SPAWN_AHEAD: Millis = Millis::from_secs(60);

/// The state of a worker's machine at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineView {
    /// The provider was not asked or did not answer, or the worker was started by hand.
    Unknown,
    /// It runs or is about to run.
    Running,
    /// It was asked to stop and has not ended. Its worker has the provider's time limit to finish.
    Stopping,
    /// It exists but does not run.
    NotRunning,
    /// It runs, although the provider's list lacks it.
    Unlisted,
    /// The provider knows no such machine.
    Missing,
}

/// A worker that is not stopped, with the conversation it is assigned to.
#[derive(Clone, Debug)]
pub struct ObservedWorker {
    /// Its row.
    pub worker: Worker,
    /// Its conversation, if the conversation names the worker as its owner.
    pub conversation: Option<Conversation>,
    /// Whether its conversation has another owner.
    pub has_other_owner: bool,
    /// Its machine.
    pub machine: MachineView,
}

/// What a new worker would be started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The kind of the provider.
    pub provider: String,
    /// The provider's app.
    pub app: String,
    /// The image.
    pub name: String,
}

/// A machine at the provider that carries our mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedMachine {
    /// The provider's id of the machine.
    pub id: String,
    /// The worker that it was created for.
    pub worker: WorkerId,
}

/// A volume at the provider that carries our mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedVolume {
    /// The provider's id of the volume.
    pub id: String,
    /// Whether its name is the name of a live worker's volume.
    pub is_of_live_worker: bool,
    /// The machine that it is attached to.
    pub attached_to: Option<String>,
}

/// A conversation in the ready index: it has work and no owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyConversation {
    /// The partition of its items.
    pub key: ConversationKey,
    /// Its key in the index.
    pub ready: ReadyKey,
}

/// The most malformed states that one run repairs. They come from outside and are few. If there are more, the next runs
/// repair the rest, and the pool is served meanwhile.
pub const MAX_REPAIRS: usize = 50;

/// The input of a plan.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// All workers that are not stopped.
    pub workers: Vec<ObservedWorker>,
    /// The entries of the ready index up to `SPAWN_AHEAD` from now.
    pub ready: Vec<ReadyConversation>,
    /// What a new worker would be started with; `None` when no worker can be started.
    pub image: Option<Image>,
    /// The provider's machines that carry our mark; `None` when the provider was not asked or did not answer.
    pub machines: Option<Vec<ListedMachine>>,
    /// The provider's volumes that carry our mark; `None` when the provider was not asked or did not answer.
    pub volumes: Option<Vec<ListedVolume>>,
    /// The state of the last run.
    pub state: ReconcileState,
}

/// One action. Every action is carried out on a condition, so an outdated plan does nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Recover the message of a lease that has expired, or whose worker is gone.
    Recover {
        /// The conversation of the lease.
        conversation: ConversationKey,
        /// The worker that held the lease. The action does nothing to another worker's lease.
        holder: WorkerId,
        /// The cause.
        cut: RecoverCause,
    },
    /// Inspect a conversation that seems malformed, and repair it.
    Repair {
        /// The conversation.
        conversation: ConversationKey,
    },
    /// Remove the conversation from a worker's row, because it does not name the worker as its owner.
    Unassign {
        /// The worker.
        worker: WorkerId,
    },
    /// Write a scheduled entry of the ready index as due, so that it does not sort after all other work.
    Promote {
        /// The conversation.
        conversation: ConversationKey,
    },
    /// Drain a worker.
    Drain {
        /// The worker.
        worker: WorkerId,
        /// Why.
        reason: DrainReason,
    },
    /// End a drain: release the worker's conversation and begin its teardown.
    FinishDrain {
        /// The worker.
        worker: WorkerId,
        /// Whether the worker is gone, so that a final snapshot is not waited for.
        gone: bool,
    },
    /// Remove a worker's machine and volume, and close its row.
    Teardown {
        /// The worker.
        worker: WorkerId,
    },
    /// Start a worker.
    Spawn {
        /// The conversation that it is for; `None` for a spare worker.
        conversation: Option<ConversationKey>,
    },
    /// Remove a machine or volume that carries our mark and belongs to no worker.
    Remove {
        /// The machine or volume.
        orphan: Orphan,
        /// Since when it is known as an orphan.
        since: Timestamp,
    },
    /// Ask the owner of a conversation to release it when it is quiet.
    AskToSwitch {
        /// The conversation.
        conversation: ConversationKey,
    },
}

/// An action with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The action.
    pub action: Action,
    /// Why.
    pub reason: String,
}

/// Something that the plan leaves for later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The subject: `worker w`, `3 conversations`, `machine m`, `volume v`, `spawning`.
    pub subject: String,
    /// What it waits for.
    pub waits_for: String,
    /// Until when at the latest, if that is known.
    pub until: Option<Timestamp>,
}

/// The decisions of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The actions. Those on one worker are in order.
    pub actions: Vec<Planned>,
    /// What is left for later.
    pub waits: Vec<Wait>,
    /// Conversations that want a worker and get none from this plan.
    pub unserved: usize,
    /// Whether some of them get none because no worker can be added.
    pub is_short: bool,
    /// The orphans for the next run, each with the time since when it is known.
    pub orphans: BTreeMap<Orphan, Timestamp>,
}

impl fmt::Display for Orphan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Orphan::Machine(id) => write!(f, "machine {id}"),
            Orphan::Volume(id) => write!(f, "volume {id}"),
        }
    }
}

#[cfg(test)]
mod tests;
