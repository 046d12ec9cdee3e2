//! The compatible contract of published OpenClaw worker images: arguments and values of the functions that they call by
//! name. Unknown arguments are ignored. These types are not part of the OpenAPI document, because images use a protocol
//! of their own.

use std::collections::BTreeMap;

use af_domain::ids::{ConversationId, LeaseId, MessageId, SnapshotId};
use af_domain::skill::ReleaseChannel;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::hydration::{Bridge, ConversationState};
use crate::id::Id;
use crate::messages::PayloadBody;

/// A call of a function.
#[derive(Serialize, Deserialize)]
pub struct FunctionCall {
    /// `<namespace>:<function>`.
    pub path: String,
    /// The arguments: an object, a list that holds one object, or null.
    #[serde(default)]
    pub args: Value,
}

/// The result of a call, which HTTP answers with status 200 in both cases.
#[derive(Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "camelCase")]
pub enum FunctionResult {
    /// The function returned.
    Success {
        /// Its value.
        value: Value,
    },
    /// The function failed.
    #[serde(rename_all = "camelCase")]
    Error {
        /// The reason, for people.
        error_message: String,
    },
}

/// `workerControlState`: whether the worker must stop.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ControlState {
    /// The worker must finish the message that it runs, and then stop.
    pub should_stop: bool,
}

/// `workerClaim`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimArgs {
    /// Claims only a message of this conversation.
    #[serde(default)]
    pub conversation_id: Option<Value>,
}

/// `workerClaim`: a message under a lease.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimedMessage {
    /// The message.
    pub message_id: String,
    /// The conversation that the message belongs to.
    pub conversation_id: String,
    /// The agent that the message is for.
    pub agent_key: String,
    /// The lease.
    pub lease_id: String,
    /// When the lease expires, epoch ms by the server's clock.
    pub lease_expires_at: u64,
    /// What the message carries.
    pub payload: PayloadBody,
}

/// A message and its lease: the arguments of `workerHeartbeat` and `workerComplete`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaseRef {
    /// The message.
    pub message_id: String,
    /// The lease.
    pub lease_id: String,
}

/// The typed ids of a [`LeaseRef`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseIds {
    /// The message.
    pub message: MessageId,
    /// The lease.
    pub lease: LeaseId,
}

impl LeaseRef {
    /// Both ids; `None` if one is malformed, because then the caller cannot hold the lease.
    pub fn ids(self) -> Option<LeaseIds> {
        let message = MessageId::parse(self.message_id).ok()?;
        Some(LeaseIds { message, lease: LeaseId::parse(self.lease_id).ok()? })
    }
}

/// `workerFail`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailArgs {
    /// The message and its lease.
    #[serde(flatten)]
    pub lease: LeaseRef,
    /// The reason, stored as the message's last error.
    pub error_message: String,
}

/// `workerHydrationBundle`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HydrationBundleArgs {
    /// The message that the worker runs.
    pub message_id: String,
}

/// `workerHydrationBundle`: everything that the worker needs to run its message. It holds secrets.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HydrationBundle {
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
    /// The token of the bot that the reply goes out by.
    pub telegram_bot_token: Option<String>,
    /// Null unless the agent's bridge is enabled.
    pub bridge_runtime_config: Option<Bridge>,
}

/// `workerConversationHasQueued`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HasQueuedArgs {
    /// The worker's conversation.
    pub conversation_id: Id<ConversationId>,
}

/// `workerAppendConversationMessages`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppendArgs {
    /// The worker's conversation.
    pub conversation_id: Id<ConversationId>,
    /// The entries, oldest first.
    pub messages: Vec<AppendedEntry>,
}

/// An entry for the conversation's history.
#[derive(Debug, Serialize, Deserialize)]
pub struct AppendedEntry {
    /// `user`, `assistant`, `system` or `tool`.
    pub role: String,
    /// The text.
    pub content: String,
    /// When the text was written, epoch ms; left out, the time of the call.
    #[serde(default)]
    pub at: Option<u64>,
}

/// `workerAppendConversationMessages`: the result.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Appended {
    /// Whether the history has the entries, from this call or an earlier one.
    pub updated: bool,
    /// How many entries a bundle would hold now.
    pub message_count: u64,
}

/// `workerAttachMessageMetadata`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttachMetadataArgs {
    /// The message that the worker runs.
    pub message_id: String,
    /// Merged into the message's metadata.
    pub metadata: BTreeMap<String, String>,
}

/// `workerPrepareSnapshotUpload`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PrepareSnapshotArgs {
    /// The conversation that the files belong to; left out, the one that the worker is assigned to.
    #[serde(default)]
    pub conversation_id: Option<Id<ConversationId>>,
    /// `drain`, `signal` or `manual`.
    pub reason: String,
}

/// `workerPrepareSnapshotUpload`: where to upload the archive. The URL is a secret.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotUpload {
    /// The snapshot's id.
    pub snapshot_id: String,
    /// Accepts the archive by POST.
    pub upload_url: String,
    /// Until when the upload may begin, epoch ms.
    pub expires_at: u64,
}

/// `workerFinalizeSnapshotUpload`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FinalizeSnapshotArgs {
    /// The snapshot.
    pub snapshot_id: Id<SnapshotId>,
    /// The id that the upload answered, which is the snapshot's.
    pub storage_id: String,
    /// SHA-256 of the archive, in hexadecimal digits.
    pub sha256: String,
    /// Size of the archive.
    pub size_bytes: u64,
}

/// `workerFailSnapshotUpload`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailSnapshotArgs {
    /// The snapshot.
    pub snapshot_id: Id<SnapshotId>,
    /// The reason, for people.
    pub error: String,
}

/// `workerLatestSnapshotForRestore`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LatestSnapshotArgs {
    /// The conversation that the files belong to; left out, the one that the worker is assigned to.
    #[serde(default)]
    pub conversation_id: Option<Id<ConversationId>>,
}

/// `workerLatestSnapshotForRestore`: the snapshot to restore. The URL is a secret.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestorableSnapshot {
    /// The snapshot's id.
    pub snapshot_id: String,
    /// Answers a plain GET.
    pub download_url: String,
    /// SHA-256 of the archive, in lower-case hexadecimal digits.
    pub sha256: Option<String>,
    /// Size of the archive.
    pub size_bytes: Option<u64>,
    /// When the snapshot was prepared, epoch ms.
    pub created_at: u64,
}

/// `workerGenerateMediaUploadUrl`: where to upload a file. The URL is a secret.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MediaUpload {
    /// Accepts the file by POST.
    pub upload_url: String,
}

/// `workerGetStorageFileUrl`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StorageFileArgs {
    /// The file.
    pub storage_id: String,
}

/// `workerGlobalSkillsManifest`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SkillsManifestArgs {
    /// The channel; `stable` when left out.
    #[serde(default)]
    pub release_channel: Option<Id<ReleaseChannel>>,
}

/// The answer to an upload.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Uploaded {
    /// The id of the uploaded file or snapshot.
    pub storage_id: String,
}
