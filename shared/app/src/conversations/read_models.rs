//! Read models: messages as callers see them.

use af_domain::agent::conversation_of;
use af_domain::attachment::{AttachmentState, MAX_WAIT, TOO_LATE};
use af_domain::context::answer_bytes;
use af_domain::conversation::{Conversation, Lease};
use af_domain::ids::{ConsumerUserId, MessageId};
use af_domain::message::{Message, MessageStatus, MessageView, RunningAttempt};
use af_domain::refusal::Refusal;
use af_domain::time::{Millis, Timestamp};

use crate::{App, AppError};

/// The bytes of field names, numbers and punctuation of a message or an attachment in a response.
const MESSAGE_ENVELOPE_BYTES: u64 = 600;
/// The bytes around a text in a response: escaped quotes and a comma or colon.
const QUOTES_BYTES: u64 = 5;

/// Returns the view of a message with its conversation.
pub(crate) fn of_message(
    mut message: Message,
    conversation: Option<&Conversation>,
    at: Timestamp,
) -> MessageView {
    let waiting = message.status == MessageStatus::Queued;
    if message.enqueued_at + MAX_WAIT <= at {
        // The function that was to fetch the attachments has failed, and no other function fetches them.
        for attachment in message.payload.attachments.iter_mut().filter(|a| a.is_pending()) {
            attachment.state = AttachmentState::Failed { reason: TOO_LATE.to_owned() };
        }
    }
    let lease =
        conversation.and_then(|c| c.lease.as_ref()).filter(|l| waiting && l.entry.message == message.id);
    let pending =
        conversation.and_then(|c| c.queue.entries().iter().find(|e| waiting && e.message == message.id));
    let scheduled_for = match (lease, pending) {
        (Some(_), _) => None,
        // A message that waits for attachments is already due.
        (None, Some(entry)) if !entry.is_retry() => Some(entry.due),
        (None, Some(entry)) => Some(entry.waits_until()),
        (None, None) => waiting.then_some(message.due),
    };
    MessageView {
        status: if lease.is_some() { "processing" } else { message.status.as_str() },
        attempts: lease.map_or(message.attempts, |l| l.entry.attempts_counted()),
        scheduled_for,
        progress: lease.and_then(|l| l.progress.clone()),
        cancelling: lease.is_some_and(|l| l.cancelled),
        running: lease.map(running),
        message,
        at,
    }
}

/// Returns the bytes that a message takes in a response, or slightly more.
pub(crate) fn answer_bytes_of(view: &MessageView) -> u64 {
    let MessageView { message, progress, .. } = view;
    let payload = &message.payload;
    let texts = [&payload.provider, &payload.provider_user_id, &payload.message_text].into_iter();
    let optional = [&payload.external_message_id, &payload.raw_update_json, &message.last_error, progress];
    let metadata = payload.metadata.iter().flat_map(|(name, value)| [name, value]);
    let files = payload.attachments.iter().flat_map(|a| {
        let reason = match &a.state {
            AttachmentState::Failed { reason } => Some(reason),
            AttachmentState::Pending | AttachmentState::Ready { .. } => None,
        };
        [Some(&a.telegram_file_id), a.file_name.as_ref(), reason]
    });
    let reply = message.reply.iter().map(|reply| &reply.text);
    let texts =
        texts.chain(optional.into_iter().flatten()).chain(reply).chain(metadata).chain(files.flatten());
    let ids = [message.id.as_str(), message.conversation.as_str(), message.agent.as_str()];
    let bytes = texts.map(String::as_str).chain(ids).map(|t| answer_bytes(t) + QUOTES_BYTES).sum::<u64>();
    bytes + MESSAGE_ENVELOPE_BYTES * (1 + payload.attachments.len() as u64)
}

fn running(lease: &Lease) -> RunningAttempt {
    RunningAttempt {
        fence: lease.id.parts().fence,
        number: lease.entry.attempts,
        worker: lease.worker.clone(),
        claimed_at: lease.claimed_at,
    }
}

/// Returns a message.
///
/// # Errors
/// Returns 404 if there is none.
pub async fn message(app: &App, id: &MessageId) -> Result<MessageView, AppError> {
    let missing = || Refusal::not_found(format!("message {id}"));
    let mut message = app.store.message(id, app.now(), true).await?.ok_or_else(missing)?;
    let mut conversation = None;
    if message.status == MessageStatus::Queued {
        conversation = app.store.conversation(&message.key, true).await?;
        let named = conversation
            .as_ref()
            .is_some_and(|c| c.running() == Some(id) || c.queue.entries().iter().any(|e| &e.message == id));
        if !named {
            // The message ended between the two reads.
            message = app.store.message(id, app.now(), true).await?.ok_or_else(missing)?;
        }
    }
    Ok(of_message(message, conversation.as_ref(), app.now()))
}

/// Returns a message of one of `user`'s conversations.
///
/// # Errors
/// Returns 404 if there is none, or it belongs to another user.
pub async fn message_of_user(
    app: &App,
    user: &ConsumerUserId,
    id: &MessageId,
) -> Result<MessageView, AppError> {
    let view = message(app, id).await?;
    let theirs = conversation_of(&view.message.agent, user).is_ok_and(|c| c == view.message.conversation);
    if theirs { Ok(view) } else { Err(Refusal::not_found(format!("message {id}")).into()) }
}

/// Returns a message of one of `user`'s conversations when it has ended, or after `wait`.
///
/// # Errors
/// Returns 404 if there is none, or it belongs to another user.
pub async fn ended_message_of_user(
    app: &App,
    user: &ConsumerUserId,
    id: &MessageId,
    wait: Millis,
) -> Result<MessageView, AppError> {
    let view = message_of_user(app, user, id).await?;
    if wait == Millis::default() || view.message.status != MessageStatus::Queued {
        return Ok(view);
    }
    let mut looks = app.waits.looks(wait);
    while looks.next().await {
        if app.store.message_status(id).await? != Some(MessageStatus::Queued) {
            break;
        }
    }
    message_of_user(app, user, id).await
}
