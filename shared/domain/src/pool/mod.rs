//! The pool planner: from what was observed to a list of actions, each with its reason, and of what it waits
//! for. Pure, so that a dry run shows exactly what a real run would do.

mod demand;
mod orphans;
mod plan;
mod reconcile_state;
mod starting;

pub use plan::plan;
pub use reconcile_state::{Orphan, ReconcileState};

use std::collections::BTreeMap;
use std::fmt;

use crate::conversation::{Conversation, ReadyKey, RecoverCause};
use crate::ids::{ConversationKey, WorkerId};
use crate::time::{Millis, Timestamp};
use crate::worker::{DrainReason, Worker};

/// How far ahead of its due time a conversation gets a worker. The schedule's period: work that falls due just
/// after a tick would otherwise wait for the next one, and a worker needs that time to boot anyway.
pub const SPAWN_AHEAD: Millis = Millis::from_secs(60);

/// What the provider says of a worker's machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineView {
    /// The provider was not asked or did not answer, or the worker was started by hand.
    Unknown,
    /// It runs or is about to.
    Running,
    /// It was told to end and has not: what runs on it has the provider's time to finish.
    Stopping,
    /// It is there but does not run.
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
    /// Its conversation, when it has one and that conversation names it as its owner.
    pub conversation: Option<Conversation>,
    /// Whether its conversation has another owner.
    pub is_anothers: bool,
    /// Its machine.
    pub machine: MachineView,
}

/// What would be started today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// By which kind of provider.
    pub provider: String,
    /// Where.
    pub app: String,
    /// What.
    pub name: String,
}

/// A machine at the provider that carries our mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedMachine {
    /// The provider's id of it.
    pub id: String,
    /// The worker that it was made for.
    pub worker: WorkerId,
}

/// A volume at the provider that carries our mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedVolume {
    /// The provider's id of it.
    pub id: String,
    /// Whether its name is that of a volume of a worker that is not stopped.
    pub is_of_live_worker: bool,
    /// The machine that has it.
    pub attached_to: Option<String>,
}

/// A conversation in the ready index: it has work and nobody owns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyConversation {
    /// The partition its items live in.
    pub key: ConversationKey,
    /// Its key in the index.
    pub ready: ReadyKey,
}

/// How many malformed states one run repairs. They come from outside and are few; if they are not, the next runs see
/// to the rest, and the pool is served meanwhile.
pub const REPAIRS_MAX: usize = 50;

/// Everything a plan is made from.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// All workers that are not stopped.
    pub workers: Vec<ObservedWorker>,
    /// What the ready index holds, up to `SPAWN_AHEAD` from now.
    pub ready: Vec<ReadyConversation>,
    /// What would be started today; `None` where nothing can be started.
    pub image: Option<Image>,
    /// The provider's machines that carry our mark; `None` where it was not asked or did not answer.
    pub machines: Option<Vec<ListedMachine>>,
    /// The provider's volumes that carry our mark; likewise.
    pub volumes: Option<Vec<ListedVolume>>,
    /// What the last run left.
    pub state: ReconcileState,
}

/// One thing to do. Every action is conditional where it is carried out: a plan that is out of date does
/// nothing wrong, it does nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Give back the message of a lease that expired, or whose worker is gone.
    Recover {
        /// Whose lease.
        conversation: ConversationKey,
        /// Who held it. Another worker's lease is none of this action's business.
        holder: WorkerId,
        /// Why, when the lease has not expired.
        cut: RecoverCause,
    },
    /// Look at a conversation that cannot be as it seems, and mend what is wrong with it.
    Repair {
        /// Which conversation.
        conversation: ConversationKey,
    },
    /// Take from a worker's row a conversation that does not name the worker as its owner.
    Unassign {
        /// Which worker.
        worker: WorkerId,
    },
    /// Write a matured key into the ready index as due, so that it does not sort after all other work.
    Promote {
        /// Which conversation.
        conversation: ConversationKey,
    },
    /// Tell a worker to leave.
    Drain {
        /// Which worker.
        worker: WorkerId,
        /// Why.
        reason: DrainReason,
    },
    /// Free a draining worker's conversation and begin to take its machine down.
    Settle {
        /// Which worker.
        worker: WorkerId,
        /// Whether it is gone, so that nobody waits for the snapshot that it may owe.
        gone: bool,
    },
    /// Take a machine down and close its row.
    Teardown {
        /// Which worker.
        worker: WorkerId,
    },
    /// Start a worker.
    Spawn {
        /// The conversation it is for; `None` for a spare one.
        conversation: Option<ConversationKey>,
    },
    /// Remove a machine or volume that carries our mark and belongs to no worker.
    Remove {
        /// Which.
        orphan: Orphan,
        /// Since when nobody knows it.
        since: Timestamp,
    },
    /// Ask the owner of a conversation to let go when it is quiet.
    AskToSwitch {
        /// Whose owner.
        conversation: ConversationKey,
    },
}

/// An action with its reason in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// What to do.
    pub action: Action,
    /// Why.
    pub reason: String,
}

/// Something that the plan leaves alone for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// What waits: `worker w`, `3 conversations`, `machine m`, `volume v`, `spawning`.
    pub subject: String,
    /// What for.
    pub waits_for: String,
    /// Until when at the latest, where that is known.
    pub until: Option<Timestamp>,
}

/// What to do now and what is waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In order; actions on one worker follow each other.
    pub actions: Vec<Planned>,
    /// What is left alone.
    pub waits: Vec<Wait>,
    /// Conversations that want a worker and get none from this plan.
    pub unserved: usize,
    /// What belongs to nobody at the provider, and since when; for the next run.
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
