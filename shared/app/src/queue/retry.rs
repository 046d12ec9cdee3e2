//! Retry: queues a dead letter again, behind all waiting messages.

use af_domain::conversation::Entry;
use af_domain::ids::MessageId;
use af_domain::message::{Message, MessageStatus};
use af_domain::policy::Policies;
use af_domain::refusal::{Code, Refusal};
use af_domain::time::Timestamp;
use af_store::StoreError;
use af_store::conversation::Commit;
use af_store::idempotency::RETENTION;
use af_store::message::body_hash;

use super::messages::{MAX_TRIES, message};
use crate::agents::profiles;
use crate::error::queue_full;
use crate::settings::policies;
use crate::{App, AppError, Result};

/// The result of retrying a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retried {
    /// The message is queued again.
    Queued,
    /// The queue of its conversation is full.
    Full,
    /// The message is not a dead letter, or the same call has already retried it.
    NotDead,
}

/// Queues the dead letter `id` again with its attempts reset to zero. `idempotency` identifies the caller and
/// the call: a repetition gets the same answer.
///
/// # Errors
/// Returns 404 if the message or its agent does not exist, 409 if the message is not a dead letter or its
/// agent is disabled, and 429 if the queue of its conversation is full. Nothing is written then.
pub async fn retry(app: &App, id: &MessageId, idempotency: Option<(&str, &str)>) -> Result<()> {
    let token = token(idempotency);
    let dead = message(app, id).await?;
    if is_ours(&dead, token.as_deref(), app.now()) {
        return Ok(());
    }
    let policies = policies::for_agent(app, &dead.agent).await?;
    if dead.status == MessageStatus::DeadLetter {
        profiles::taking_messages(app, &dead.agent).await?;
        match retried(app, dead, token.as_deref(), &policies).await? {
            Retried::Queued => return Ok(()),
            Retried::Full => return Err(queue_full(policies.queue.max_pending_per_conversation)),
            Retried::NotDead => {}
        }
    }
    // Either another call was faster, or an earlier attempt of this call succeeded and its response was lost.
    let now = message(app, id).await?;
    if is_ours(&now, token.as_deref(), app.now()) {
        return Ok(());
    }
    let detail = format!("message {id} is {}: only a dead letter can be retried", now.status.as_str());
    Err(Refusal::new(Code::Conflict, detail).into())
}

/// Returns the token that identifies a call.
pub(super) fn token(idempotency: Option<(&str, &str)>) -> Option<String> {
    idempotency.map(|(caller, key)| body_hash(&[caller, key]))
}

/// Whether the call with `token` queued the message again. An idempotency key is free after a day.
fn is_ours(message: &Message, token: Option<&str>, now: Timestamp) -> bool {
    token.is_some()
        && message.retried_by.as_deref() == token
        && message.retried_at.is_some_and(|at| now < at + RETENTION)
}

/// Queues `dead` again, unless the call with `token` has already done so.
pub(super) async fn retried(
    app: &App,
    mut dead: Message,
    token: Option<&str>,
    policies: &Policies,
) -> Result<Retried> {
    for _ in 0..MAX_TRIES {
        let now = app.now();
        if is_ours(&dead, token, now) || dead.status != MessageStatus::DeadLetter {
            return Ok(Retried::NotDead);
        }
        let Some(before) = app.store.conversation(&dead.key, true).await? else {
            return Err(without_conversation(&dead).into());
        };
        let entry = entry(&dead, policies, now);
        let Some(after) = before.with_retried(entry.clone(), now, policies) else {
            return Ok(Retried::Full);
        };
        let commit = app.store.retry_if_dead(&before, &after, &dead, &entry, token, policies).await?;
        if let Commit::Done = commit {
            return Ok(Retried::Queued);
        }
        dead = message(app, &dead.id).await?;
    }
    Err(AppError::Overtaken("retry"))
}

/// Returns the queue entry of a retried message. It keeps the fence of its first claim, so that the history
/// entries of the next attempt replace those of the failed ones.
fn entry(dead: &Message, policies: &Policies, now: Timestamp) -> Entry {
    let default = u32::try_from(policies.retry.max_attempts).unwrap_or(u32::MAX);
    Entry {
        message: dead.id.clone(),
        priority: dead.priority,
        due: now,
        scheduled: false,
        attempts: 0,
        drained: 0,
        max_attempts: dead.max_attempts.unwrap_or(default),
        not_before: Timestamp::default(),
        first_fence: dead.first_fence,
        revised: false,
    }
}

fn without_conversation(message: &Message) -> StoreError {
    StoreError::Malformed {
        key: message.id.to_string(),
        problem: format!("its conversation {} does not exist", message.conversation),
    }
}
