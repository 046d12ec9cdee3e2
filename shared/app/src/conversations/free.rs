//! Free: takes a conversation from a worker that hangs.
//!
//! The running attempt ends as after a recovery. The owner drains, because its state is unknown: its next
//! heartbeat or append finds the lease gone, its next poll returns stop, and reconcile tears its machine
//! down.

use af_api::conversations::FreeAnswer;
use af_domain::conversation::Conversation;
use af_domain::ids::{ConversationId, Fence};
use af_domain::refusal::{Code, Refusal};
use af_domain::worker::Worker;
use af_store::conversation::Commit;

use crate::settings::policies;
use crate::{App, AppError};

/// How often freeing is decided again if concurrent calls change the conversation.
const MAX_TRIES: usize = 5;
/// Most characters of a reason, so that the error fits into the attempt record.
const MAX_REASON_CHARS: usize = 150;

/// Ends the lease of conversation `id` for `reason`, and removes its owner. With `fence`, only the claim with
/// this fence is ended, so that a repeated call cannot end the next claim.
///
/// # Errors
/// Returns 404 if the conversation does not exist, 409 if it has no owner or another claim was made since,
/// and 422 if the reason is blank or too long.
pub async fn free(
    app: &App,
    id: &ConversationId,
    reason: &str,
    fence: Option<Fence>,
) -> Result<FreeAnswer, AppError> {
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > MAX_REASON_CHARS {
        let detail = format!("reason must be 1 to {MAX_REASON_CHARS} characters and not blank");
        return Err(Refusal::field("/reason", detail).into());
    }
    for _ in 0..MAX_TRIES {
        let now = app.now();
        let before = super::get::get(app, id).await?;
        let policies = policies::for_agent(app, &before.agent).await?;
        if fence.is_some_and(|fence| fence != before.fence) {
            let detail = format!("conversation {id} has been claimed since: its fence is {}", before.fence);
            return Err(Refusal::new(Code::Conflict, detail).into());
        }
        let Some(freed) = before.freed(reason, app.entropy.unit(), now, &policies) else {
            let detail = format!("conversation {id} is free: no worker owns it and nothing runs");
            return Err(Refusal::new(Code::Conflict, detail).into());
        };
        let owner = owners_row(app, &before).await?;
        let commit = app.store.free_if_unchanged(&before, &freed, owner.as_ref(), now, &policies);
        if let Commit::Done = commit.await? {
            tracing::warn!(conversation = %id, fence = %before.fence, reason, "conversation freed by an operator");
            let worker = before.owner.map(|o| o.worker).or_else(|| before.lease.map(|l| l.worker));
            return Ok(FreeAnswer {
                conversation_id: id.to_string(),
                worker_id: worker.map(|worker| worker.to_string()),
                message_id: freed.back.as_ref().map(|back| back.entry.message.to_string()),
                outcome: freed.back.map(|back| back.outcome.as_str().to_owned()),
            });
        }
    }
    Err(AppError::Overtaken("free"))
}

/// Returns the row of the conversation's owner, if it exists and names this conversation.
async fn owners_row(app: &App, conversation: &Conversation) -> Result<Option<Worker>, AppError> {
    let Some(owner) = &conversation.owner else { return Ok(None) };
    let row = app.store.worker_now(&owner.worker).await?;
    Ok(row.filter(|row| row.assignment.as_ref().is_some_and(|a| a.key == conversation.key)))
}
