//! The queue: counts, lists, and the calls that repair it.

use std::str::FromStr;

use af_domain::ids::{AgentKey, ConversationId};
use af_domain::named_enum;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::id::Id;
use crate::pages::Limit;

/// Which messages to list.
#[serde_with::skip_serializing_none]
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QueueQuery {
    /// Messages in this state. Without a conversation: only `queued`, `processing` or `dead_letter`.
    #[param(inline)]
    pub status: Option<QueueStatus>,
    /// Messages of this conversation.
    #[param(value_type = Option<String>)]
    pub conversation_id: Option<Id<ConversationId>>,
    /// Messages for this agent.
    #[param(value_type = Option<String>)]
    pub agent_key: Option<Id<AgentKey>>,
    /// Messages on the page, 1 to 200.
    #[serde(default)]
    #[param(value_type = u16, minimum = 1, maximum = 200, default = 50)]
    pub limit: Limit,
    /// `nextCursor` of the page before.
    pub cursor: Option<String>,
}

named_enum! {
    /// The state of a message.
    #[derive(Serialize, Deserialize, ToSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum QueueStatus {
        /// It waits.
        Queued = "queued",
        /// It runs.
        Processing = "processing",
        /// A worker completed it.
        Done = "done",
        /// Its attempts are used up, or no retry can help.
        DeadLetter = "dead_letter",
        /// It was cancelled.
        Cancelled = "cancelled",
    }
}

impl FromStr for QueueStatus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::as_str).join(", ");
        Self::parse(text).ok_or_else(|| format!("status must be one of {}", known()))
    }
}

/// How many messages wait, run and are dead letters. The counts follow the table's stream, usually by a second or two,
/// at most by a minute.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueStats {
    /// Messages that may run now.
    pub queued_ready: i64,
    /// Messages that wait for a time: scheduled messages and retries.
    pub queued_scheduled: i64,
    /// Messages that run.
    pub processing: i64,
    /// Dead letters.
    pub dead_letter: i64,
    /// How long the longest-waiting conversation has waited for a worker, ms; null when none waits.
    pub oldest_ready_age_ms: Option<u64>,
    /// How long the longest-waiting message has waited, ms, also behind a running message of its conversation; null when none
    /// waits. Messages behind an owner are as of the last reconcile, at most a minute ago.
    pub oldest_waiting_age_ms: Option<u64>,
    /// When the counts were last updated, epoch ms; null before the first change.
    pub as_of: Option<u64>,
}

/// What a message waits for.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WhyAnswer {
    /// The message.
    pub message_id: String,
    /// The message's state.
    pub status: String,
    /// `nothing` when it has ended, or `delivery` while its reply waits in an outbox; `its_worker` while it runs; `retry_time`, `scheduled_time`, `attachments`,
    /// `another_message`; `agent_disabled`;
    /// `owners_poll`, `owners_drain`, `workers_start`, `free_workers_poll`; `reconcile`, `place_in_pool`, `provider`,
    /// `new_worker`.
    pub waits_for: String,
    /// The same as a sentence.
    pub reason: String,
    /// The latest moment that the wait ends, epoch ms; left out when it is not known.
    pub until: Option<u64>,
    /// The worker that the message waits for.
    pub worker_id: Option<String>,
    /// The message that this message waits for.
    pub behind_message_id: Option<String>,
    /// Workers that are alive, while the message waits for a place in the pool.
    pub live_workers: Option<usize>,
    /// The most workers that the pool may have.
    pub max_workers: Option<u64>,
    /// What became of the reply of an ended message, if it goes to Telegram: `waiting`, `sent`, `uncertain`, `failed`,
    /// `cancelled` or `dropped`.
    pub delivery: Option<String>,
}

/// A message that waits again, with zero attempts.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetryAnswer {
    /// The message.
    pub message_id: String,
    /// `queued`.
    pub status: String,
}

/// Which dead letters to retry: those of one conversation, or those of one agent.
#[serde_with::skip_serializing_none]
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"conversationId": "user-agent:support:ann"}))]
pub struct RetryAllRequest {
    /// The conversation.
    #[schema(value_type = Option<String>)]
    pub conversation_id: Option<Id<ConversationId>>,
    /// The agent.
    #[schema(value_type = Option<String>)]
    pub agent_key: Option<Id<AgentKey>>,
    /// `nextCursor` of the call before.
    pub cursor: Option<String>,
}

/// The result of one call. Each call looks at a bounded number of dead letters.
#[serde_with::skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetryAllAnswer {
    /// How many messages wait again.
    pub retried: usize,
    /// Messages that stay dead letters because their conversation's queue is full.
    pub full: Vec<String>,
    /// Messages that stay dead letters because their agent is disabled or deleted.
    pub refused: Vec<String>,
    /// Where the next call continues; left out at the end.
    pub next_cursor: Option<String>,
}

/// Where the check continues, and whether it repairs.
#[serde_with::skip_serializing_none]
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecoverRequest {
    /// `nextCursor` of the call before. Without it, the check begins.
    pub cursor: Option<String>,
    /// Whether problems are repaired. Without it, they are only reported.
    #[serde(default)]
    pub repair: bool,
}

/// What this call found. Continue with `nextCursor` until there is none.
#[serde_with::skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecoverAnswer {
    /// How many conversations with work, a lease or an owner were checked.
    pub checked: usize,
    /// Their problems.
    pub found: Vec<MalformedConversation>,
    /// Where the next call continues; left out at the end.
    pub next_cursor: Option<String>,
}

/// A problem of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MalformedConversation {
    /// The conversation's id, or its partition when the id cannot be read.
    pub conversation_id: String,
    /// The problem.
    pub problem: String,
    /// Whether it was repaired.
    pub repaired: bool,
}
