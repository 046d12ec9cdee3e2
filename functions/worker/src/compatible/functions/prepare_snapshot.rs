//! `workerPrepareSnapshotUpload {workerId, workspaceId, agentKey, conversationId?, reason}` →
//! `{snapshotId, uploadUrl, expiresAt}`

use af_app::AppError;
use af_app::files::snapshots::prepare_unannounced;
use af_domain::ids::ConversationId;
use af_domain::refusal::Refusal;
use af_domain::snapshot::{SnapshotReason, URL_GOOD_FOR};
use af_http::Id;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::compatible::call::Call;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Args {
    #[serde(default)]
    conversation_id: Option<Id<ConversationId>>,
    reason: String,
}

/// Where the caller's archive goes.
///
/// # Errors
/// 404 when the conversation is not the caller's, 409 when it has claimed nothing that could be kept, 503 while a message
/// runs.
pub async fn run(mut call: Call) -> Result<Value, AppError> {
    let args: Args = call.args()?;
    let unknown = || Refusal::field("/reason", "reason must be one of drain, signal, manual");
    let reason = SnapshotReason::parse(&args.reason).ok_or_else(unknown)?;
    // Before the row: without a URL, it would be there for nothing.
    let url = call.upload_url("snapshots").await?;
    let conversation = call.conversation(args.conversation_id).await?;
    let snapshot = prepare_unannounced(&call.app, &call.worker, conversation.as_ref(), reason).await?;
    Ok(json!({
        "snapshotId": snapshot.id.as_str(),
        "uploadUrl": format!("{url}/{}", snapshot.id),
        "expiresAt": (snapshot.created_at + URL_GOOD_FOR).as_millis(),
    }))
}
