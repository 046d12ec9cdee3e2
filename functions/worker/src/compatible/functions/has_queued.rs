//! `workerConversationHasQueued {conversationId}` → boolean

use af_api::worker::compatible::HasQueuedArgs;
use af_app::AppError;
use af_app::worker::has_work_soon;

use crate::compatible::call::Call;

/// Whether the caller should wait for more messages of its conversation.
///
/// # Errors
/// 404 when the conversation is not the caller's.
pub async fn run(mut call: Call) -> Result<bool, AppError> {
    let args: HasQueuedArgs = call.args()?;
    has_work_soon(&call.app, &call.worker, &args.conversation_id.0).await
}
