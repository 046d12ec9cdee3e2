//! The control state: whether a worker must stop, or must switch to another conversation.

use af_domain::ids::ConversationId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::id::Id;

/// What the deployment wants of a worker.
#[serde_with::skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Control {
    /// The worker must finish the message that it runs, and then stop.
    pub should_stop: bool,
    /// Why it must stop: `draining`, `not_assigned`, `unknown_worker`, `token_expired`.
    pub reasons: Vec<String>,
    /// When the worker must have stopped, epoch ms.
    pub drain_by: Option<u64>,
    /// The worker must release its conversation, with a poll with `release: true` that names the conversation.
    pub switch: bool,
    /// With `switch`: the conversation to release. A worker that missed the answer to its claim does not know that it
    /// owns a conversation.
    pub conversation_id: Option<String>,
}

/// The query of `GET /v1/worker/control`.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ControlQuery {
    /// The conversation that the worker believes it is assigned to. With it the answer costs less.
    #[param(value_type = Option<String>)]
    pub conversation_id: Option<Id<ConversationId>>,
}

/// The caller's control state.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ControlAnswer {
    /// What the deployment wants of the worker.
    pub control: Control,
    /// How long to wait before the next call, ms.
    pub next_poll_ms: u64,
}
