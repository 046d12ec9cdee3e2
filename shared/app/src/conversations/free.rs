//! Free: takes a conversation from a worker that hangs.
//!
//! The attempt that runs ends as if it were recovered. The owner drains, because nobody knows what it is doing: its
//! next heartbeat or append finds the lease gone, its next poll says stop, and reconcile takes its machine down.

use af_domain::conversation::{Conversation, Outcome};
use af_domain::ids::{ConversationId, Fence, MessageId, WorkerId};
use af_domain::policy::Policies;
use af_domain::refusal::{Code, Refusal};
use af_domain::time::Timestamp;
use af_domain::worker::{DrainReason, Worker, WorkerStatus};
use af_store::conversation::Commit;

use crate::settings::policies;
use crate::{App, AppError};

/// Times freeing is decided anew when others change the conversation meanwhile.
const MAX_TRIES: usize = 5;
/// Most characters of a reason: with it the error fits into the record of its attempt.
const MAX_REASON_CHARS: usize = 150;

/// What was taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freed {
    /// The worker that had the conversation.
    pub worker: Option<WorkerId>,
    /// The message that ran, and what has become of it.
    pub message: Option<(MessageId, Outcome)>,
}

/// Ends the lease of conversation `id`, for `reason`, and takes its owner away. With `fence`, only the claim that has
/// this fence: a call that is sent again cannot hit the next one.
///
/// # Errors
/// 404 when there is no such conversation; 409 when nobody has it, or another claim has been made since; 422 for a
/// reason that is blank or too long.
pub async fn free(
    app: &App,
    id: &ConversationId,
    reason: &str,
    fence: Option<Fence>,
) -> Result<Freed, AppError> {
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > MAX_REASON_CHARS {
        let detail = format!("reason must be 1 to {MAX_REASON_CHARS} characters and not blank");
        return Err(Refusal::field("/reason", detail).into());
    }
    let policies = policies::in_force(app).await?;
    for _ in 0..MAX_TRIES {
        let now = app.now();
        let before = super::get(app, id).await?;
        if fence.is_some_and(|fence| fence != before.fence) {
            let detail = format!("conversation {id} has been claimed since: its fence is {}", before.fence);
            return Err(Refusal::new(Code::Conflict, detail).into());
        }
        let Some(freed) = before.freed(reason, app.entropy.unit(), now, &policies) else {
            let detail = format!("conversation {id} is free: no worker owns it and nothing runs");
            return Err(Refusal::new(Code::Conflict, detail).into());
        };
        let row = owners_row(app, &before).await?;
        let owner = row.as_ref().map(|row| (row, taken(row, now, &policies)));
        let owner = owner.as_ref().map(|(row, taken)| (*row, taken));
        if let Commit::Done = app.store.free_if_unchanged(&before, &freed, owner, now, &policies).await? {
            tracing::warn!(conversation = %id, fence = %before.fence, reason, "conversation freed by an operator");
            let worker = before.owner.map(|o| o.worker).or_else(|| before.lease.map(|l| l.worker));
            let message = freed.back.map(|back| (back.entry.message, back.outcome));
            return Ok(Freed { worker, message });
        }
    }
    Err(AppError::Overtaken("free"))
}

/// The row of the conversation's owner, if there is one and it names this conversation.
async fn owners_row(app: &App, conversation: &Conversation) -> Result<Option<Worker>, AppError> {
    let Some(owner) = &conversation.owner else { return Ok(None) };
    let row = app.store.worker_now(&owner.worker).await?;
    Ok(row.filter(|row| row.assignment.as_ref().is_some_and(|a| a.key == conversation.key)))
}

/// The owner without its conversation, on its way out.
fn taken(row: &Worker, now: Timestamp, policies: &Policies) -> Worker {
    let mut taken = row.clone();
    taken.assignment = None;
    taken.quiet_since = now;
    if row.status == WorkerStatus::Active {
        taken.status = WorkerStatus::Draining {
            drain_by: now + policies.scaling.drain_timeout,
            reason: DrainReason::Operator,
        };
    }
    taken
}
