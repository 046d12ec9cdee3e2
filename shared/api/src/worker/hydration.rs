//! The hydration bundle: everything that a worker needs to run a message.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::documents::Workspace;
use super::history::{HistoryEntry, PendingToolCall};
use crate::messages::PayloadBody;

/// The query of `GET /v1/worker/messages/{messageId}/bundle`.
#[derive(Debug, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BundleQuery {
    /// The cursor of an earlier bundle: the history then holds only newer entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The fingerprint of the workspace that the worker has: the bundle then holds only the fingerprint if it has not changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace_fingerprint: Option<String>,
}

/// Everything that a worker needs to run a message.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bundle {
    /// The message.
    pub message_id: String,
    /// The conversation that the message belongs to.
    pub conversation_id: String,
    /// The agent that the message is for.
    pub agent_key: String,
    /// What the message carries.
    pub payload: PayloadBody,
    /// The conversation so far.
    pub conversation_state: ConversationState,
    /// A hash that changes when the context changes.
    pub context_fingerprint: String,
    /// Whether the history holds only entries since `since`. If not, it is the whole context.
    pub delta: bool,
    /// A later call that sends this cursor as `since` gets only newer entries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Null unless the agent's bridge is enabled.
    pub bridge_runtime_config: Option<Bridge>,
    /// The documents of the agent and the conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<Workspace>,
}

/// The conversation so far.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConversationState {
    /// The history, oldest entry first.
    pub context_history: Vec<HistoryEntry>,
    /// Tool calls without an answer.
    pub pending_tool_calls: Vec<PendingToolCall>,
}

/// What bridge skills need to reach the tools of the agent's app. Values that are not set are null.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bridge {
    /// The URL at which the app takes calls.
    pub base_url: Option<String>,
    /// The URLs of several apps, a JSON object as text.
    pub app_base_url_map_json: Option<String>,
    /// The id of the calling service.
    pub service_id: Option<String>,
    /// The key of the app.
    pub app_key: Option<String>,
    /// The key of the calling service.
    pub service_key: Option<String>,
    /// The name of the secret that holds the service key.
    pub service_key_secret_ref: Option<String>,
    /// The agent's bot.
    pub bot_identity: Option<String>,
}
