//! Read models: messages and conversations as callers see them.

use af_api::conversations::UserConversation;
use af_domain::agent::conversation_of;
use af_domain::attachment::{AttachmentState, MAX_WAIT, TOO_LATE};
use af_domain::context::{ContextBudget, answer_bytes};
use af_domain::conversation::{Conversation, Lease};
use af_domain::ids::{AgentKey, ConsumerUserId, ConversationId, ConversationKey, MessageId};
use af_domain::message::{Message, MessageStatus, MessageView, Role, RunningAttempt};
use af_domain::refusal::Refusal;
use af_domain::time::Timestamp;
pub use af_store::conversation::ReadPosition;
use af_store::conversation::{History, HistoryRange};
use af_store::conversation_key;

use crate::{App, AppError, queue};

/// Most bytes of a page of history in a response. One entry takes 1.8 MB at most. With the same size for the
/// messages and for the pending tool calls, the response stays below a function's 6 MB.
const MAX_HISTORY_PAGE_BYTES: u64 = 2 * 1024 * 1024;

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

/// The part of a conversation to return.
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// The maximum number of history entries and of messages.
    pub limit: u32,
    /// The position before which history is returned; the newest history if `None`.
    pub history_before: Option<ReadPosition>,
    /// The position before which messages are returned; the newest messages if `None`.
    pub items_before: Option<String>,
}

/// Returns the conversation of `user` with `agent`; an empty one for a bound user who has not written yet. A page with large entries or messages has fewer than `part.limit`. The
/// cursors of the answer are the positions of the next pages.
///
/// # Errors
/// Returns 404 if there is none, and the user is not bound to the agent.
pub async fn conversation(
    app: &App,
    user: &ConsumerUserId,
    agent: &AgentKey,
    part: &Part,
) -> Result<UserConversation, AppError> {
    let id = conversation_of(agent, user)?;
    let key = conversation_key(&id);
    let limit = u64::from(part.limit);
    let budget = ContextBudget::new(limit, u64::MAX, MAX_HISTORY_PAGE_BYTES);
    let (meta, newest, older, items, latest) = tokio::join!(
        app.store.conversation(&key, true),
        app.store.history(&key, HistoryRange::default(), budget.clone()),
        older_history(app, &key, part.history_before.as_ref(), budget),
        queue::of_conversation(app, &id, None, part.limit, part.items_before.as_deref()),
        latest_message(app, &id, part.items_before.is_some())
    );
    let meta = meta?;
    if meta.is_none() && !is_bound(app, user, agent).await? {
        return Err(Refusal::not_found(format!("conversation of user {user} with agent {agent}")).into());
    }
    let newest = newest?;
    let last = |role: Role| {
        let entry = newest.newest_first.iter().find(|entry| entry.role == role);
        entry.map(|entry| entry.at.as_millis())
    };
    let (last_user_message_at, last_assistant_message_at) = (last(Role::User), last(Role::Assistant));
    let pending_tool_calls = newest.pending_tool_calls.clone();
    let shown = older?.unwrap_or(newest);
    let (queue_items, next_queue_cursor) = items?;
    let latest_message = latest?.or_else(|| {
        let is_newest_page = part.items_before.is_none();
        queue_items.first().filter(|_| is_newest_page).map(|view| view.message.id.clone())
    });
    Ok(UserConversation {
        conversation_id: id.to_string(),
        context_history: shown.newest_first.into_iter().rev().map(Into::into).collect(),
        next_history_cursor: shown.older.map(|position| position.to_string()),
        pending_tool_calls: pending_tool_calls.into_iter().map(Into::into).collect(),
        queue_items: queue_items.into_iter().map(Into::into).collect(),
        next_queue_cursor,
        has_queued_jobs: meta.is_some_and(|meta| meta.lease.is_some() || !meta.queue.is_empty()),
        latest_message_id: latest_message.map(|id| id.to_string()),
        last_user_message_at,
        last_assistant_message_at,
    })
}

async fn is_bound(app: &App, user: &ConsumerUserId, agent: &AgentKey) -> Result<bool, AppError> {
    let binding = app.store.binding(user, true).await?;
    Ok(binding.is_some_and(|binding| binding.agent == *agent))
}

async fn older_history(
    app: &App,
    key: &ConversationKey,
    before: Option<&ReadPosition>,
    budget: ContextBudget,
) -> Result<Option<History>, AppError> {
    match before {
        Some(_) => Ok(Some(app.store.history(key, HistoryRange { since: None, before }, budget).await?)),
        None => Ok(None),
    }
}

/// Returns the newest message, if the returned page does not begin with it.
async fn latest_message(
    app: &App,
    conversation: &ConversationId,
    is_elsewhere: bool,
) -> Result<Option<MessageId>, AppError> {
    if !is_elsewhere {
        return Ok(None);
    }
    let (newest, _) = queue::of_conversation(app, conversation, None, 1, None).await?;
    Ok(newest.into_iter().next().map(|view| view.message.id))
}
