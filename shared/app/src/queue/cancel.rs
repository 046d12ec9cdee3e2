//! Cancel: a message that shall not run, or not go on running.

use af_domain::ids::{ConsumerUserId, MessageId};
use af_domain::message::{Message, MessageStatus};
use af_domain::refusal::{Code, Refusal};
use af_store::conversation::Commit;

use super::{MAX_TRIES, message};
use crate::conversations::read_models::message_of_user;
use crate::settings::policies;
use crate::{App, AppError};

/// What became of a cancellation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// The message has ended.
    AtOnce,
    /// It runs: its worker is told with the next heartbeat, and however its attempt ends, it ends cancelled.
    WhenItsAttemptEnds,
}

/// Cancels `id`: one that waits or is a dead letter at once, one that runs through its worker. A message that was
/// cancelled before is answered as cancelled.
///
/// # Errors
/// 404 when there is none; 409 when it is done.
pub async fn cancel(app: &App, id: &MessageId) -> Result<Cancelled, AppError> {
    for _ in 0..MAX_TRIES {
        let message = message(app, id).await?;
        let cancelled = match message.status {
            MessageStatus::Cancelled => return Ok(Cancelled::AtOnce),
            MessageStatus::Done => {
                let detail = format!("message {id} is done: what has ended cannot be cancelled");
                return Err(Refusal::new(Code::Conflict, detail).into());
            }
            MessageStatus::DeadLetter => dead(app, &message).await?,
            MessageStatus::Queued => queued(app, &message).await?,
        };
        if let Some(cancelled) = cancelled {
            return Ok(cancelled);
        }
    }
    Err(AppError::Overtaken("cancel"))
}

/// Cancels a message of one of `user`'s conversations.
///
/// # Errors
/// As `cancel`; 404 also when it is somebody else's.
pub async fn cancel_of_user(app: &App, user: &ConsumerUserId, id: &MessageId) -> Result<Cancelled, AppError> {
    message_of_user(app, user, id).await?;
    cancel(app, id).await
}

async fn dead(app: &App, message: &Message) -> Result<Option<Cancelled>, AppError> {
    let policies = policies::in_force(app).await?;
    let commit = app.store.cancel_if_dead(message, app.now(), &policies).await?;
    Ok(done(&commit, Cancelled::AtOnce))
}

/// `None` when others were faster, or it has ended since it was read.
async fn queued(app: &App, message: &Message) -> Result<Option<Cancelled>, AppError> {
    let policies = policies::in_force(app).await?;
    let now = app.now();
    let Some(before) = app.store.conversation(&message.key, true).await? else { return Ok(None) };
    if let Some(lease) = before.lease.as_ref().filter(|l| l.entry.message == message.id) {
        if lease.cancelled {
            return Ok(Some(Cancelled::WhenItsAttemptEnds));
        }
        let commit = app.store.cancel_if_leased(&before).await?;
        return Ok(done(&commit, Cancelled::WhenItsAttemptEnds));
    }
    let Some(after) = before.without(&message.id, now, &policies) else { return Ok(None) };
    let commit = app.store.cancel_if_waiting(&before, &after, &message.id, now, &policies).await?;
    Ok(done(&commit, Cancelled::AtOnce))
}

const fn done(commit: &Commit, cancelled: Cancelled) -> Option<Cancelled> {
    match commit {
        Commit::Done => Some(cancelled),
        Commit::Stale => None,
    }
}
