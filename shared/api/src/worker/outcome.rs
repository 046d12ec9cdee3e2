//! Calls about a message that a worker runs: heartbeat, metadata, complete and fail.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::control::Control;
use super::history::{HistoryEntry, PendingToolCall};
use super::yes;
use crate::usage::UsageBody;

/// A heartbeat.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeartbeatRequest {
    /// The lease of the message.
    pub lease_id: String,
    /// The fence of the lease.
    pub fence: u64,
    /// A line about the worker's progress, shown with the message and as the draft of its reply in a private Telegram chat.
    pub progress: Option<String>,
}

/// The answer to a heartbeat. A lost lease is an answer, not an error.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatAnswer {
    /// Whether the worker still holds the lease.
    pub held: bool,
    /// Whether the message was cancelled: the worker must end it with `fail`.
    pub cancelled: bool,
    /// When the lease expires, epoch ms by the server's clock; null when the lease is lost.
    pub lease_expires_at: Option<u64>,
    /// What the deployment wants of the worker.
    pub control: Control,
    /// How long to wait before the next heartbeat, ms.
    pub next_heartbeat_ms: u64,
}

/// Metadata for a message.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AttachMetadataRequest {
    /// The lease of the message.
    pub lease_id: String,
    /// The fence of the lease.
    pub fence: u64,
    /// Merged into the message's metadata: entries of the same name are replaced.
    pub metadata: BTreeMap<String, String>,
}

/// The metadata is attached.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct AttachMetadataAnswer {
    /// Always true.
    pub attached: bool,
}

/// How a message ended.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CompleteRequest {
    /// The lease of the message.
    pub lease_id: String,
    /// The fence of the lease.
    pub fence: u64,
    /// Entries for the conversation's history.
    #[serde(default)]
    pub history: Vec<HistoryEntry>,
    /// Replaces the conversation's pending tool calls. Left out, they stay as they are.
    pub pending_tool_calls: Option<Vec<PendingToolCall>>,
    /// Merged into the message's metadata. What is over the limits is cut, and the entry `metadataCut` says so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// The agent's reply, stored with the message. If the message came from Telegram, or its user has a Telegram chat,
    /// the deployment sends the reply there.
    pub reply: Option<ReplyBody>,
    /// Who brings the reply to the user: `outbox` (the deployment, also when left out), or `self` (the worker has done it).
    pub delivery: Option<String>,
    /// What the attempt has used. It is kept with the attempt and counted in the ledger.
    pub usage: Option<UsageBody>,
}

/// The reply of an agent.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReplyBody {
    /// The text, at most 64 KB. A blank text is not sent.
    pub text: String,
    /// The markup of the text: `plain`, `markdown`, or `html` (Telegram's HTML). Left out, the text is plain.
    pub format: Option<String>,
}

/// The message is done.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct CompleteAnswer {
    /// Always true.
    pub completed: bool,
}

/// How an attempt failed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FailRequest {
    /// The lease of the message.
    pub lease_id: String,
    /// The fence of the lease.
    pub fence: u64,
    /// The reason, stored as the message's last error.
    pub error_message: String,
    /// Whether another attempt may help. Ignored with `drained`.
    #[serde(default = "yes")]
    pub retryable: bool,
    /// How long the other side asked to wait, ms, such as the `Retry-After` of a model's server. The next attempt waits
    /// for the longer of this, of at most 6 hours, and its backoff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Whether the worker had to stop before the message was done. If the deployment told it to stop, the attempt does
    /// not count, at most three times for each message.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drained: bool,
    /// What the attempt has used. It is kept with the attempt and counted in the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<UsageBody>,
}

/// What happens to the message after a failed attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailAnswer {
    /// Whether the message waits for another attempt.
    pub requeued: bool,
    /// Whether the message is a dead letter.
    pub dead_lettered: bool,
    /// When the retry is due, epoch ms; `null` for a dead letter.
    pub next_scheduled_for: Option<u64>,
}
