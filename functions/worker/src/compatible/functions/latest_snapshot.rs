//! `workerLatestSnapshotForRestore {workspaceId, agentKey, conversationId?}` → null or
//! `{snapshotId, downloadUrl, sha256, sizeBytes, createdAt}`

use af_app::AppError;
use af_app::files::snapshots::{object_key, to_restore};
use af_domain::ids::ConversationId;
use af_http::Id;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::compatible::call::Call;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Args {
    #[serde(default)]
    conversation_id: Option<Id<ConversationId>>,
}

/// What the caller begins with; `null` when nobody has kept anything of its conversation.
///
/// # Errors
/// 404 when the conversation is not the caller's.
pub async fn run(mut call: Call) -> Result<Value, AppError> {
    let args: Args = call.args()?;
    let Some(conversation) = call.conversation(args.conversation_id).await? else { return Ok(Value::Null) };
    let Some(snapshot) = to_restore(&call.app, &call.worker, &conversation).await? else {
        return Ok(Value::Null);
    };
    Ok(json!({
        "snapshotId": snapshot.id.as_str(),
        "downloadUrl": call.link(&object_key(&snapshot.id)).await?,
        "sha256": snapshot.content.as_ref().map(|content| content.sha256.as_str()),
        "sizeBytes": snapshot.content.as_ref().map(|content| content.size_bytes),
        "createdAt": snapshot.created_at.as_millis(),
    }))
}
