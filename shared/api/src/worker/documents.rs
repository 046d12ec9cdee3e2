//! Workspace documents, as workers receive them and send the edits of their agent.

use af_domain::ids::{DocumentPath, MessageId, Sha256Hex};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::id::Id;

/// The documents of the agent and the conversation.
#[serde_with::skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Workspace {
    /// A hash that changes when the workspace changes. If the worker has named it, it is the only field.
    pub fingerprint: String,
    /// All documents except the memory of days, by path.
    pub documents: Option<Vec<WorkspaceDocument>>,
    /// The memory of the last days, the newest day first.
    pub memory_window: Option<Vec<MemoryDocument>>,
    /// The first day that `memoryWindow` covers, `YYYY-MM-DD`. The memory of earlier days may exist.
    pub memory_since: Option<String>,
}

/// A document of a workspace, with its content or a link.
#[serde_with::skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceDocument {
    /// The path in the workspace.
    pub path: String,
    /// The SHA-256 of the text in hex.
    pub sha256: String,
    /// Whose text it is: `operator`, or `agent`.
    pub owner: String,
    /// The text.
    pub content: Option<String>,
    /// Where the text is, if it does not fit into the bundle. The URL takes the worker token and answers `content`.
    pub download_url: Option<String>,
}

/// The memory of a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemoryDocument {
    /// The day, `YYYY-MM-DD`.
    pub date: String,
    /// The path in the workspace.
    pub path: String,
    /// The SHA-256 of the text in hex.
    pub sha256: String,
    /// Whose text it is: `operator`, or `agent`.
    pub owner: String,
    /// The text.
    pub content: String,
}

/// The query of `GET /v1/worker/documents`.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkspaceDocumentQuery {
    /// The message that the worker runs.
    #[param(value_type = String)]
    pub message_id: Id<MessageId>,
    /// The document.
    #[param(value_type = String, example = "MEMORY.md")]
    pub path: Id<DocumentPath>,
}

/// The documents that an agent has edited in a run.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunEditsRequest {
    /// The lease of the running message.
    pub lease_id: String,
    /// The fence of the lease.
    pub fence: u64,
    /// At most 16 documents. All of them are stored in one step.
    pub documents: Vec<RunEditBody>,
}

/// A document that an agent has edited.
#[serde_with::skip_serializing_none]
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunEditBody {
    /// The document.
    #[schema(value_type = String, example = "MEMORY.md")]
    pub path: Id<DocumentPath>,
    /// The text after the run, at most 65536 bytes.
    pub content: String,
    /// The SHA-256 of the text that the agent has edited; left out for a new document.
    #[schema(value_type = Option<String>)]
    pub base_sha256: Option<Id<Sha256Hex>>,
}

/// The outcomes of edits, in the order of the request.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RunEditsAnswer {
    /// One outcome for each document.
    pub documents: Vec<RunEditOutcomeBody>,
}

/// The outcome of an edit.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RunEditOutcomeBody {
    /// The document.
    pub path: String,
    /// `stored`; `unchanged` if the document already has this text; `conflict` if it was changed during the run: it stays, and
    /// the text of the agent is a version before it; `operatorOwned` if the operator owns it, so that nothing is stored.
    pub outcome: String,
}
