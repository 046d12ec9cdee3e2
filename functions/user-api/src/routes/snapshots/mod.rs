//! The files that an agent keeps for a user.

pub mod latest;
pub mod list;

use af_app::files::snapshots::SnapshotView;
use serde::Serialize;
use utoipa::ToSchema;

/// A snapshot. Times are epoch ms.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotBody {
    snapshot_id: String,
    conversation_id: String,
    /// `uploading`, `ready`, `failed` or `expired`.
    status: &'static str,
    /// Size and SHA-256 of the archive; absent while its worker has not said what it will be.
    #[serde(skip_serializing_if = "Option::is_none")]
    size_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    created_at: u64,
    /// Answers a plain GET, for 15 minutes at most; null unless it is ready.
    download_url: Option<String>,
}

impl From<SnapshotView> for SnapshotBody {
    fn from(view: SnapshotView) -> Self {
        Self {
            snapshot_id: view.snapshot.id.to_string(),
            conversation_id: view.snapshot.conversation.to_string(),
            status: view.snapshot.status.name(),
            size_bytes: view.snapshot.content.as_ref().map(|c| c.size_bytes),
            sha256: view.snapshot.content.map(|c| c.sha256.to_string()),
            created_at: view.snapshot.created_at.as_millis(),
            download_url: view.download_url,
        }
    }
}
