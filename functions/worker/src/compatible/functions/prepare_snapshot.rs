//! `workerPrepareSnapshotUpload {workerId, workspaceId, agentKey, conversationId?, reason}` →
//! `{snapshotId, uploadUrl, expiresAt}`

use af_api::worker::compatible::{PrepareSnapshotArgs, SnapshotUpload};
use af_app::AppError;
use af_app::files::snapshots::prepare_unannounced;
use af_domain::refusal::{Code, Refusal};
use af_domain::snapshot::{SnapshotReason, URL_GOOD_FOR};

use crate::compatible::call::Call;

/// Where the caller uploads its archive.
///
/// # Errors
/// 404 when the conversation is not the caller's, 409 when the caller has claimed no message of it, 503 while a message
/// runs.
pub async fn run(mut call: Call) -> Result<SnapshotUpload, AppError> {
    let args: PrepareSnapshotArgs = call.args()?;
    let unknown = || Refusal::field("/reason", "reason must be one of drain, signal, manual");
    let reason = SnapshotReason::parse(&args.reason).ok_or_else(unknown)?;
    // The URL comes first: without one, the call must fail before it writes a snapshot row.
    let url = call.upload_url("snapshots").await?;
    let conversation = call.conversation(args.conversation_id).await?;
    let prepared = prepare_unannounced(&call.app, &call.worker, conversation.as_ref(), reason).await;
    let snapshot = prepared.map_err(repeat_while_a_message_runs)?;
    Ok(SnapshotUpload {
        snapshot_id: snapshot.id.to_string(),
        upload_url: format!("{url}/{}", snapshot.id),
        expires_at: (snapshot.created_at + URL_GOOD_FOR).as_millis(),
    })
}

/// A published image gives up after a 4xx and repeats the call after a 503.
fn repeat_while_a_message_runs(error: AppError) -> AppError {
    match error {
        AppError::Refused(refusal) if refusal.code == Code::MessageRunning => {
            AppError::Refused(Refusal { code: Code::Unavailable, ..refusal })
        }
        other => other,
    }
}
