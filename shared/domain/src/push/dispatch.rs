//! Dispatches: the record of each slot, each trigger and each target of a broadcast.

use crate::ids::{AgentKey, BroadcastId, ConsumerUserId, MessageId, PushJobId, RunKey};
use crate::named_enum;
use crate::time::Timestamp;

/// Most characters of the error of a dispatch. Lists show it.
pub const MAX_ERROR_CHARS: usize = 300;

named_enum! {
    /// How a slot ended.
    pub enum DispatchStatus {
        /// A message was enqueued.
        Enqueued = "enqueued",
        /// The slot was missed, and a later one ran instead.
        Skipped = "skipped",
        /// No message was enqueued, for the reason in the record.
        Failed = "failed",
    }
}

named_enum! {
    /// Why a push was dispatched.
    pub enum PushMode {
        /// Its slot has come.
        Scheduled = "scheduled",
        /// A caller triggered it.
        Manual = "manual",
        /// It is part of a broadcast.
        Broadcast = "broadcast",
    }
}

/// The origin of a dispatch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DispatchSource {
    /// A push job.
    Job(PushJobId),
    /// A broadcast.
    Broadcast(BroadcastId),
}

/// A dispatch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispatch {
    /// The origin.
    pub source: DispatchSource,
    /// The key of the run, unique.
    pub run_key: RunKey,
    /// The user whose agent gets the message; `None` for an agent without users in a broadcast.
    pub user: Option<ConsumerUserId>,
    /// The agent.
    pub agent: AgentKey,
    /// The slot, or the time of the trigger.
    pub scheduled_for: Timestamp,
    /// How it ended.
    pub status: DispatchStatus,
    /// The message, if one was enqueued.
    pub message: Option<MessageId>,
    /// Why no message was enqueued.
    pub error: Option<String>,
    /// When the record was made.
    pub created_at: Timestamp,
}
