//! `workerConversationHasQueued {conversationId}` → boolean

use af_app::AppError;
use af_app::worker::has_queued;
use af_domain::ids::ConversationId;
use af_http::Id;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::compatible::call::Call;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Args {
    conversation_id: Id<ConversationId>,
}

/// Whether it is worth waiting for work in the caller's conversation.
///
/// # Errors
/// 404 when the conversation is not the caller's.
pub async fn run(mut call: Call) -> Result<Value, AppError> {
    let args: Args = call.args()?;
    Ok(json!(has_queued(&call.app, &call.worker, &args.conversation_id.0).await?))
}
