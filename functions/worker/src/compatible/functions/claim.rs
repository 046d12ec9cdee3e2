//! `workerClaim {workerId, conversationId?}` → null or `{messageId, conversationId, agentKey, leaseId, leaseExpiresAt,
//! payload}`

use af_api::worker::compatible::{ClaimArgs, ClaimedMessage};
use af_app::AppError;
use af_app::worker::claim;
use af_domain::ids::ConversationId;

use crate::compatible::call::Call;

/// The caller's next message; `null` when there is none for it, and when the claim is refused. The caller never becomes
/// the owner of a conversation that has files, because an image restores files only when it boots.
pub async fn run(mut call: Call) -> Result<Option<ClaimedMessage>, AppError> {
    let args: ClaimArgs = call.args()?;
    let only = match args.conversation_id {
        Some(named) => match named.as_str().map(ConversationId::parse) {
            Some(Ok(id)) => Some(id),
            // A conversation with a malformed id cannot exist, so it has no messages.
            _ => return Ok(None),
        },
        None => None,
    };
    let job = match claim(&call.app, &call.worker, only.as_ref(), true).await {
        Ok(Some(job)) => job,
        Ok(None) | Err(AppError::Refused(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(Some(ClaimedMessage {
        message_id: job.lease.entry.message.to_string(),
        conversation_id: job.conversation.id.to_string(),
        agent_key: job.conversation.agent.to_string(),
        lease_id: job.lease.id.to_string(),
        lease_expires_at: job.lease.expires_at.as_millis(),
        payload: call.payload(job.payload).await,
    }))
}
