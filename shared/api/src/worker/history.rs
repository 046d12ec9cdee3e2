//! A conversation's history, which workers read in a bundle and append to.

use af_domain::message;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An entry of a conversation's history.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HistoryEntry {
    /// `user`, `assistant`, `system` or `tool`.
    pub role: String,
    /// The text.
    pub content: String,
    /// When the text was written, epoch ms; left out, the time of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
}

/// A tool call without an answer.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PendingToolCall {
    /// The tool.
    pub tool_name: String,
    /// The call's id.
    pub call_id: String,
    /// The call's status, as the agent names it.
    pub status: String,
}

/// Entries to append to a conversation's history.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AppendHistoryRequest {
    /// The lease of the message that the worker runs.
    pub lease_id: String,
    /// The fence of the lease.
    pub fence: u64,
    /// How many entries were appended under this lease before. With it, the server recognises a repeated call.
    pub ordinal: u64,
    /// The entries, oldest first.
    pub messages: Vec<HistoryEntry>,
    /// Replaces the conversation's pending tool calls. Left out, they stay as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_tool_calls: Option<Vec<PendingToolCall>>,
}

/// The answer to an append.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct AppendHistoryAnswer {
    /// How many entries the call had.
    pub appended: usize,
}

impl From<message::HistoryEntry> for HistoryEntry {
    fn from(entry: message::HistoryEntry) -> Self {
        Self { role: entry.role.as_str().to_owned(), content: entry.content, at: Some(entry.at.as_millis()) }
    }
}

impl From<message::PendingToolCall> for PendingToolCall {
    fn from(call: message::PendingToolCall) -> Self {
        Self { tool_name: call.tool_name, call_id: call.call_id, status: call.status }
    }
}

impl From<PendingToolCall> for message::PendingToolCall {
    fn from(call: PendingToolCall) -> Self {
        Self { tool_name: call.tool_name, call_id: call.call_id, status: call.status }
    }
}
