//! Broadcasts: one text to every active agent.

use crate::ids::{AgentKey, BroadcastId, CompanyId, ConsumerUserId, ConversationId, RunKey};
use crate::named_enum;
use crate::time::Timestamp;

named_enum! {
    /// The state of a broadcast.
    pub enum BroadcastStatus {
        /// Messages are being enqueued.
        Running = "running",
        /// Every target has its dispatch.
        Done = "done",
        /// It has ended without one message.
        Failed = "failed",
        /// An operator has stopped it.
        Cancelled = "cancelled",
    }
}

/// The figures of a broadcast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BroadcastCounts {
    /// Targets so far. The number is complete when the broadcast has ended.
    pub targets: u64,
    /// Targets with a message.
    pub enqueued: u64,
    /// Targets whose message was refused.
    pub failed: u64,
}

/// A broadcast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broadcast {
    /// The id.
    pub id: BroadcastId,
    /// The company in whose name it is sent.
    pub company: CompanyId,
    /// The title, the first paragraph of the message.
    pub title: String,
    /// The text.
    pub text: String,
    /// The person or program that asked for it.
    pub requested_by: String,
    /// Its state.
    pub status: BroadcastStatus,
    /// Its figures.
    pub counts: BroadcastCounts,
    /// The place after the last target with a dispatch: an agent, and a user of the agent.
    pub cursor: Option<BroadcastTarget>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
}

impl Broadcast {
    /// The text of its messages.
    pub fn message_text(&self) -> String {
        format!("{}\n\n{}", self.title, self.text)
    }

    /// The state in which a broadcast ends that has tried every target.
    pub const fn ended(counts: &BroadcastCounts) -> BroadcastStatus {
        if counts.enqueued == 0 && counts.failed > 0 {
            BroadcastStatus::Failed
        } else {
            BroadcastStatus::Done
        }
    }
}

/// A target of a broadcast: a user of an agent, or an agent without users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BroadcastTarget {
    /// The agent.
    pub agent: AgentKey,
    /// The user.
    pub user: Option<ConsumerUserId>,
}

impl BroadcastTarget {
    /// The key of the run of `broadcast` for this target.
    pub fn run_key(&self, broadcast: &BroadcastId) -> RunKey {
        RunKey::broadcast(broadcast, &self.agent, self.user.as_ref())
    }
}

/// The conversation of a broadcast with an agent that has no users. Returns `InvalidId` if the key is too long.
pub fn conversation_without_user(agent: &AgentKey) -> Result<ConversationId, crate::ids::InvalidId> {
    ConversationId::parse(format!("broadcast:agent:{agent}"))
}
