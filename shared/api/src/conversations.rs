//! Conversations, as operators and as users see them.

use af_domain::conversation::{Conversation, EndedLease, Entry, Lease, Outcome, Owner, OwnerState};
use af_domain::message::{HistoryEntry, PendingToolCall};
use af_domain::policy::Policies;
use af_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::pages::Limit;
use crate::user_messages::UserMessageBody;

/// A conversation. Times are epoch ms.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConversationBody {
    /// The conversation's id.
    pub conversation_id: String,
    /// The agent that it belongs to.
    pub agent_key: String,
    /// How many claims it has had.
    pub fence: u64,
    /// How many times its queue, lease or owner have changed.
    pub version: u64,
    /// When a message last ended here, or when the first message was accepted.
    pub active_at: u64,
    /// The worker that owns it.
    pub owner: Option<OwnerBody>,
    /// The lease of the message that runs.
    pub lease: Option<LeaseBody>,
    /// How many messages wait.
    pub pending_count: usize,
    /// The messages that wait, in the order in which they run if no other message arrives.
    pub pending: Vec<PendingBody>,
    /// How the last lease ended.
    pub last_outcome: Option<OutcomeBody>,
}

/// The worker that a conversation is assigned to.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OwnerBody {
    /// The worker's id.
    pub worker_id: String,
    /// `active` or `draining`.
    pub state: String,
    /// When the worker last called for this conversation; null before its first call.
    pub seen_at: Option<u64>,
    /// When the conversation was assigned to the worker.
    pub assigned_at: u64,
    /// Whether the worker is asked to release the conversation when the conversation is quiet.
    pub wanted_elsewhere: bool,
}

/// A worker's right to run a message. The lease's id is not shown, because its holder can end the lease.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeaseBody {
    /// The number of the claim.
    pub fence: u64,
    /// The worker that holds it.
    pub worker_id: String,
    /// The message that runs.
    pub message_id: String,
    /// Which attempt of the message this is, from 1.
    pub attempt: u32,
    /// When the message was claimed.
    pub claimed_at: u64,
    /// When the lease ends without another heartbeat.
    pub expires_at: u64,
    /// Whether the message was cancelled.
    pub cancelled: bool,
    /// What the worker last said of its progress.
    pub progress: Option<String>,
}

/// A message that waits.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingBody {
    /// The message's id.
    pub message_id: String,
    /// Its priority, 0 to 100; higher runs first.
    pub priority: u8,
    /// It does not run before this moment: its scheduled time or its retry's, else when it was enqueued.
    pub scheduled_for: u64,
    /// How many times it was claimed.
    pub attempts: u32,
    /// How many times it may be claimed.
    pub max_attempts: u32,
}

/// How a lease ended.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutcomeBody {
    /// The number of the claim.
    pub fence: u64,
    /// `done`, `requeued`, `dead_letter` or `cancelled`.
    pub outcome: String,
    /// When the retry is due.
    pub scheduled_for: Option<u64>,
    /// Whether recovery or an operator took the lease from its holder.
    pub recovered: bool,
}

/// Why a conversation is freed.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FreeRequest {
    /// 1 to 150 characters. The error of the attempt that ends repeats them.
    pub reason: String,
    /// Frees only the claim with this fence, as the conversation showed it. A call with a fence is safe to repeat.
    pub fence: Option<u64>,
}

/// What was taken from the worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FreeAnswer {
    /// The conversation's id.
    pub conversation_id: String,
    /// The worker that had the conversation; it drains.
    pub worker_id: Option<String>,
    /// The message that ran.
    pub message_id: Option<String>,
    /// How that message's attempt ended: `requeued`, `dead_letter` or `cancelled`.
    pub outcome: Option<String>,
}

/// Which part of a user's conversation.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UserConversationQuery {
    /// Entries in each of the two lists, 1 to 200.
    #[serde(default)]
    #[param(value_type = u16, minimum = 1, maximum = 200, default = 50)]
    pub limit: Limit,
    /// `nextHistoryCursor` of an earlier answer: older history.
    pub history_cursor: Option<String>,
    /// `nextQueueCursor` of an earlier answer: older messages.
    pub queue_cursor: Option<String>,
}

/// A conversation as its user sees it. Times are epoch ms.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserConversation {
    /// The conversation's id.
    pub conversation_id: String,
    /// The history, oldest entry first: its newest page, unless a cursor asks for an older one.
    pub context_history: Vec<HistoryEntryBody>,
    /// Where older history begins; left out when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_history_cursor: Option<String>,
    /// Tool calls of the agent that have no answer yet.
    pub pending_tool_calls: Vec<OpenToolCall>,
    /// Messages in every state, newest first.
    pub queue_items: Vec<UserMessageBody>,
    /// Where older messages begin; left out when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_queue_cursor: Option<String>,
    /// Whether a message waits or runs.
    pub has_queued_jobs: bool,
    /// The newest message.
    pub latest_message_id: Option<String>,
    /// When the user last wrote, as far back as the newest page of history goes. An older page has the times of the newest
    /// one that was read before.
    pub last_user_message_at: Option<u64>,
    /// When the agent last wrote, as far back as the newest page of history goes.
    pub last_assistant_message_at: Option<u64>,
}

/// An entry of the history.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = ConversationEntry)]
pub struct HistoryEntryBody {
    /// `user`, `assistant`, `system` or `tool`.
    pub role: String,
    /// The text.
    pub content: String,
    /// When it was said, epoch ms.
    pub at: u64,
}

/// A tool call that has no answer yet.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenToolCall {
    /// The tool.
    pub tool_name: String,
    /// The call's id.
    pub call_id: String,
    /// The state of the call, in the agent's words.
    pub status: String,
}

impl ConversationBody {
    /// The conversation as it is at `now`; `policies` decide the order of what waits.
    pub fn new(conversation: &Conversation, policies: &Policies, now: Timestamp) -> Self {
        Self {
            conversation_id: conversation.id.to_string(),
            agent_key: conversation.agent.to_string(),
            fence: conversation.fence.0,
            version: conversation.version,
            active_at: conversation.active_at.as_millis(),
            owner: conversation.owner.as_ref().map(Into::into),
            lease: conversation.lease.as_ref().map(Into::into),
            pending_count: conversation.queue.len(),
            pending: conversation.in_order(now, policies).into_iter().map(Into::into).collect(),
            last_outcome: conversation.last.as_ref().map(Into::into),
        }
    }
}

impl From<&Owner> for OwnerBody {
    fn from(owner: &Owner) -> Self {
        let state = match owner.state {
            OwnerState::Active => "active",
            OwnerState::Draining => "draining",
        };
        Self {
            worker_id: owner.worker.to_string(),
            state: state.to_owned(),
            seen_at: owner.seen_at.map(Timestamp::as_millis),
            assigned_at: owner.assigned_at.as_millis(),
            wanted_elsewhere: owner.wanted_elsewhere,
        }
    }
}

impl From<&Lease> for LeaseBody {
    fn from(lease: &Lease) -> Self {
        Self {
            fence: lease.id.parts().fence.0,
            worker_id: lease.worker.to_string(),
            message_id: lease.entry.message.to_string(),
            attempt: lease.entry.attempts,
            claimed_at: lease.claimed_at.as_millis(),
            expires_at: lease.expires_at.as_millis(),
            cancelled: lease.cancelled,
            progress: lease.progress.clone(),
        }
    }
}

impl From<&Entry> for PendingBody {
    fn from(entry: &Entry) -> Self {
        Self {
            message_id: entry.message.to_string(),
            priority: entry.priority.get(),
            scheduled_for: entry.due.max(entry.not_before).as_millis(),
            attempts: entry.attempts,
            max_attempts: entry.max_attempts,
        }
    }
}

impl From<&EndedLease> for OutcomeBody {
    fn from(ended: &EndedLease) -> Self {
        Self {
            fence: ended.lease.parts().fence.0,
            outcome: ended.outcome.as_str().to_owned(),
            scheduled_for: match ended.outcome {
                Outcome::Requeued { not_before } => Some(not_before.as_millis()),
                Outcome::Done | Outcome::DeadLettered | Outcome::Cancelled => None,
            },
            recovered: ended.recovered,
        }
    }
}

impl From<HistoryEntry> for HistoryEntryBody {
    fn from(entry: HistoryEntry) -> Self {
        Self { role: entry.role.as_str().to_owned(), content: entry.content, at: entry.at.as_millis() }
    }
}

impl From<PendingToolCall> for OpenToolCall {
    fn from(call: PendingToolCall) -> Self {
        Self { tool_name: call.tool_name, call_id: call.call_id, status: call.status }
    }
}
