//! `workerLatestSnapshotForRestore {workspaceId, agentKey, conversationId?}` → null or
//! `{snapshotId, downloadUrl, sha256, sizeBytes, createdAt}`

use af_api::worker::compatible::{LatestSnapshotArgs, RestorableSnapshot};
use af_app::AppError;
use af_app::files::snapshots::{object_key, to_restore};

use crate::compatible::call::Call;

/// The snapshot that the caller restores; `null` when its conversation has none.
///
/// # Errors
/// 404 when the conversation is not the caller's.
pub async fn run(mut call: Call) -> Result<Option<RestorableSnapshot>, AppError> {
    let args: LatestSnapshotArgs = call.args()?;
    let Some(conversation) = call.conversation(args.conversation_id).await? else { return Ok(None) };
    let Some(snapshot) = to_restore(&call.app, &call.worker, &conversation).await? else {
        return Ok(None);
    };
    Ok(Some(RestorableSnapshot {
        snapshot_id: snapshot.id.to_string(),
        download_url: call.restore_link(&object_key(&snapshot.id)).await?,
        sha256: snapshot.content.as_ref().map(|content| content.sha256.to_string()),
        size_bytes: snapshot.content.as_ref().map(|content| content.size_bytes),
        created_at: snapshot.created_at.as_millis(),
    }))
}
