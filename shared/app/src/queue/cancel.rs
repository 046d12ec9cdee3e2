//! Cancel: ends a waiting message or a dead letter at once, and a running message through its worker.

use af_domain::ids::{ConsumerUserId, ConversationKey, MessageId};
use af_domain::message::{Message, MessageStatus};
use af_domain::refusal::{Code, Refusal};
use af_store::conversation::Commit;

use super::messages::{MAX_TRIES, message};
use crate::conversations::read_models::message_of_user;
use crate::settings::policies;
use crate::{App, AppError, Result};

/// The result of a cancellation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// The message has ended.
    AtOnce,
    /// The message runs. Its worker learns of the cancellation with the next heartbeat, and the message ends
    /// cancelled whatever the result of the attempt is.
    WhenItsAttemptEnds,
}

/// Cancels `id`: a waiting message or a dead letter at once, a running message through its worker. Cancelling a
/// cancelled message again succeeds. Returns 404 if the message does not exist, and 409 if it is done.
pub async fn cancel(app: &App, id: &MessageId) -> Result<Cancelled> {
    for _ in 0..MAX_TRIES {
        let message = message(app, id).await?;
        let cancelled = match message.status {
            MessageStatus::Cancelled => return Ok(Cancelled::AtOnce),
            MessageStatus::Done => {
                let detail = format!("message {id} is done and cannot be cancelled");
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

/// Cancels a message of one of `user`'s conversations. The errors are those of `cancel`, and 404 if the message
/// belongs to another user.
pub async fn cancel_of_user(app: &App, user: &ConsumerUserId, id: &MessageId) -> Result<Cancelled> {
    message_of_user(app, user, id).await?;
    cancel(app, id).await
}

/// Cancels what waits and what runs in a conversation, and returns the number of messages. A message that ends meanwhile
/// is not counted. The loop ends with the queue, whose length `queue.maxPendingPerConversation` limits.
pub async fn cancel_all(app: &App, key: &ConversationKey) -> Result<u64> {
    let Some(before) = app.store.conversation(key, true).await? else { return Ok(0) };
    // What waits ends first, so that it does not begin when the running message ends.
    let waiting = before.queue.entries().iter().map(|entry| &entry.message);
    let running = before.lease.iter().filter(|lease| !lease.cancelled).map(|lease| &lease.entry.message);
    let mut cancelled = 0;
    for id in waiting.chain(running) {
        match cancel(app, id).await {
            Ok(_) => cancelled += 1,
            Err(AppError::Refused(refusal)) if matches!(refusal.code, Code::Conflict | Code::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(cancelled)
}

async fn dead(app: &App, message: &Message) -> Result<Option<Cancelled>> {
    let policies = policies::for_agent(app, &message.agent).await?;
    let commit = app.store.cancel_if_dead(message, app.now(), &policies).await?;
    Ok(done(&commit, Cancelled::AtOnce))
}

/// Returns `None` if another write was faster, or the message has ended since it was read.
async fn queued(app: &App, message: &Message) -> Result<Option<Cancelled>> {
    let policies = policies::for_agent(app, &message.agent).await?;
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
