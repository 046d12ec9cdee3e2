//! `workerClaim {workerId, conversationId?}` → null or `{messageId, conversationId, agentKey, leaseId, leaseExpiresAt,
//! payload}`

use af_app::AppError;
use af_app::worker::claim;
use af_domain::ids::ConversationId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::compatible::call::Call;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Args {
    #[serde(default)]
    conversation_id: Option<Value>,
}

/// The caller's next message, `null` when it gets none, for whatever reason. It becomes the owner of no conversation that
/// has files: it would have had to restore them when it booted.
///
/// # Errors
/// When the table cannot answer.
pub async fn run(mut call: Call) -> Result<Value, AppError> {
    let args: Args = call.args()?;
    let only = match args.conversation_id {
        Some(named) => match named.as_str().map(ConversationId::parse) {
            Some(Ok(id)) => Some(id),
            // There is no such conversation, so there is no message in it.
            _ => return Ok(Value::Null),
        },
        None => None,
    };
    let job = match claim(&call.app, &call.worker, only.as_ref(), true).await {
        Ok(Some(job)) => job,
        Ok(None) | Err(AppError::Refused(_)) => return Ok(Value::Null),
        Err(error) => return Err(error),
    };
    Ok(json!({
        "messageId": job.lease.entry.message.as_str(),
        "conversationId": job.conversation.id.as_str(),
        "agentKey": job.conversation.agent.as_str(),
        "leaseId": job.lease.id.as_str(),
        "leaseExpiresAt": job.lease.expires_at.as_millis(),
        "payload": call.payload(job.payload).await,
    }))
}
