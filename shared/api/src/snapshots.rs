//! Snapshots: the files that an agent keeps for a user.

use af_domain::snapshot::{Snapshot, SnapshotStatus};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::pages::Limit;

/// Which page of snapshots.
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct SnapshotsQuery {
    /// Snapshots on the page, 1 to 200.
    #[serde(default)]
    #[param(value_type = u16, minimum = 1, maximum = 200, default = 50)]
    pub limit: Limit,
    /// `nextCursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Why a snapshot is not to be restored any more.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SkipSnapshotRequest {
    /// The reason, which is shown with the snapshot: 1 to 2 000 characters.
    pub reason: String,
}

/// A snapshot. Times are epoch ms.
// The URL opens the archive, so it has no `Debug`.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotBody {
    /// The snapshot's id.
    pub snapshot_id: String,
    /// The conversation that it belongs to.
    pub conversation_id: String,
    /// `uploading`, `ready`, `failed` or `expired`.
    pub status: String,
    /// Size of the archive; left out until its worker has announced it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// SHA-256 of the archive; left out until its worker has announced it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// When it was prepared.
    pub created_at: u64,
    /// Why it failed, or why it was skipped; left out unless it has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Answers a plain GET, for 15 minutes at most; null unless it is ready, and null for operators.
    pub download_url: Option<String>,
}

impl SnapshotBody {
    /// The snapshot, and where it can be downloaded.
    pub fn new(snapshot: Snapshot, download_url: Option<String>) -> Self {
        let error = match &snapshot.status {
            SnapshotStatus::Failed { error } => Some(error.clone()),
            _ => None,
        };
        Self {
            snapshot_id: snapshot.id.to_string(),
            conversation_id: snapshot.conversation.to_string(),
            status: snapshot.status.name().to_owned(),
            size_bytes: snapshot.content.as_ref().map(|content| content.size_bytes),
            sha256: snapshot.content.map(|content| content.sha256.to_string()),
            created_at: snapshot.created_at.as_millis(),
            error,
            download_url,
        }
    }
}
