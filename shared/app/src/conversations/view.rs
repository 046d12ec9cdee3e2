//! The conversation of a user with an agent, as the user sees it. Each page takes three requests: history, index and one batch.

use std::fmt;

use af_api::conversations::UserConversation;
use af_domain::agent::conversation_of;
use af_domain::context::ContextBudget;
use af_domain::conversation::Conversation;
use af_domain::ids::{AgentKey, ConsumerUserId, ConversationKey, MessageId};
use af_domain::message::{Message, MessageStatus, MessageView, Role};
use af_domain::refusal::Refusal;
use af_domain::time::Timestamp;
use af_store::conversation::{HistoryRange, ReadPosition};
use af_store::message::message_list_key;
use af_store::{Page, conversation_key};

use super::read_models::{answer_bytes_of, of_message};
use crate::{App, AppError, Result};

/// Most bytes of a page of history in a response. One entry takes 1.8 MB at most. With the same size for the
/// messages and for the pending tool calls, the response stays below a function's 6 MB.
const MAX_HISTORY_PAGE_BYTES: u64 = 2 * 1024 * 1024;
/// Most bytes of the messages of a page in a response. A single message is smaller.
const MAX_MESSAGES_PAGE_BYTES: u64 = 2 * 1024 * 1024;

/// The part of a conversation to return.
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// The maximum number of history entries and of messages.
    pub limit: u32,
    /// Where the page of history ends; the newest history if `None`.
    pub history: Option<HistoryPlace>,
    /// Where the page of messages ends; the newest messages if `None`.
    pub items: Option<ItemPlace>,
}

/// A position in the history, with the times that the newest page has shown.
#[derive(Debug, Clone)]
pub struct HistoryPlace {
    before: ReadPosition,
    last: LastWritten,
}

/// When the user and the agent last wrote.
#[derive(Debug, Clone, Copy, Default)]
struct LastWritten {
    user: Option<u64>,
    assistant: Option<u64>,
}

/// A position in the messages, with the newest message.
#[derive(Debug, Clone)]
pub struct ItemPlace {
    before: String,
    newest: Option<String>,
}

/// The character between the parts of a place. Neither message ids nor times contain it.
const SEPARATOR: char = ';';

impl HistoryPlace {
    /// Parses a place.
    pub fn read(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, SEPARATOR);
        let mut time = || match parts.next()? {
            "" => Some(None),
            text => text.parse().ok().map(Some),
        };
        let last = LastWritten { user: time()?, assistant: time()? };
        Some(Self { before: ReadPosition::read(parts.next()?)?, last })
    }
}

impl fmt::Display for HistoryPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |time: Option<u64>| time.map(|time| time.to_string()).unwrap_or_default();
        let (user, assistant) = (text(self.last.user), text(self.last.assistant));
        write!(f, "{user}{SEPARATOR}{assistant}{SEPARATOR}{}", self.before)
    }
}

impl ItemPlace {
    /// Parses a place.
    pub fn read(text: &str) -> Option<Self> {
        let (newest, before) = text.split_once(SEPARATOR)?;
        let newest = Some(newest.to_owned()).filter(|newest| !newest.is_empty());
        Some(Self { before: before.to_owned(), newest })
    }
}

impl fmt::Display for ItemPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{SEPARATOR}{}", self.newest.as_deref().unwrap_or_default(), self.before)
    }
}

/// Returns the conversation of `user` with `agent`; an empty one for a bound user who has not written yet. A page with large
/// entries or messages has fewer than `part.limit`. The cursors of the answer are the places of the next pages.
///
/// # Errors
/// Returns 404 if there is none, and the user is not bound to the agent.
pub async fn conversation(
    app: &App,
    user: &ConsumerUserId,
    agent: &AgentKey,
    part: &Part,
) -> Result<UserConversation> {
    let id = conversation_of(agent, user)?;
    let key = conversation_key(&id);
    let budget = ContextBudget::new(u64::from(part.limit), u64::MAX, MAX_HISTORY_PAGE_BYTES);
    let range = HistoryRange { since: None, before: part.history.as_ref().map(|place| &place.before) };
    let items_before = part.items.as_ref().map(|place| place.before.as_str());
    let limit = i32::try_from(part.limit).unwrap_or(i32::MAX);
    let (history, listed) = tokio::try_join!(
        app.store.history(&key, range, budget),
        app.store.message_ids_of(&key, limit, items_before)
    )?;
    let now = app.now();
    let found = app.store.conversation_with_messages(&key, &listed.items, now).await?;
    if found.conversation.is_none() && !is_bound(app, user, agent).await? {
        return Err(missing(user, agent).into());
    }
    let last = part.history.as_ref().map_or_else(
        || {
            let at = |role: Role| {
                let entry = history.newest_first.iter().find(|entry| entry.role == role);
                entry.map(|entry| entry.at.as_millis())
            };
            LastWritten { user: at(Role::User), assistant: at(Role::Assistant) }
        },
        |place| place.last,
    );
    let newest = match &part.items {
        Some(place) => place.newest.clone(),
        // The index may list messages that have expired.
        None => found.messages.first().map(|message| message.id.to_string()),
    };
    let Shown { views, next } = shown(found.messages, found.conversation.as_ref(), listed.next, None, now);
    let next_history = history.older.map(|before| HistoryPlace { before, last }.to_string());
    let next_items = next.map(|before| ItemPlace { before, newest: newest.clone() }.to_string());
    Ok(UserConversation {
        conversation_id: id.to_string(),
        context_history: history.newest_first.into_iter().rev().map(Into::into).collect(),
        next_history_cursor: next_history,
        pending_tool_calls: found.pending_tool_calls.into_iter().map(Into::into).collect(),
        queue_items: views.into_iter().map(Into::into).collect(),
        next_queue_cursor: next_items,
        has_queued_jobs: found
            .conversation
            .is_some_and(|meta| meta.lease.is_some() || !meta.queue.is_empty()),
        latest_message_id: newest,
        last_user_message_at: last.user,
        last_assistant_message_at: last.assistant,
    })
}

/// The refusal of a conversation that does not exist.
pub(super) fn missing(user: &ConsumerUserId, agent: &AgentKey) -> Refusal {
    Refusal::not_found(format!("conversation of user {user} with agent {agent}"))
}

/// Whether the user is bound to the agent.
pub(super) async fn is_bound(app: &App, user: &ConsumerUserId, agent: &AgentKey) -> Result<bool> {
    let binding = app.store.binding(user, true).await?;
    Ok(binding.is_some_and(|binding| binding.agent == *agent))
}

/// Messages of a page, and where the next page begins.
struct Shown {
    views: Vec<MessageView>,
    next: Option<String>,
}

/// Cuts a page of messages where it would become too large. `next` is where the next page begins otherwise.
fn shown(
    messages: Vec<Message>,
    conversation: Option<&Conversation>,
    next: Option<String>,
    status: Option<&str>,
    now: Timestamp,
) -> Shown {
    let (mut views, mut bytes, mut last) = (Vec::new(), 0, None);
    for message in messages {
        let place = message_list_key(message.enqueued_at, &message.id);
        let view = of_message(message, conversation, now);
        if status.is_none_or(|status| status == view.status) {
            bytes += answer_bytes_of(&view);
            if bytes > MAX_MESSAGES_PAGE_BYTES && !views.is_empty() {
                return Shown { views, next: last };
            }
            views.push(view);
        }
        last = Some(place);
    }
    Shown { views, next }
}

/// Returns one page of the messages of `user` for `agent`, the newest first. `status` filters by state. A page of ended
/// messages may have fewer than `limit`. A user without messages has an empty page. The cursor is the place of the last one.
pub async fn messages(
    app: &App,
    user: &ConsumerUserId,
    agent: &AgentKey,
    status: Option<&str>,
    limit: u32,
    after: Option<&str>,
) -> Result<Page<MessageView, String>> {
    let key = conversation_key(&conversation_of(agent, user)?);
    if let Some(open @ ("queued" | "processing")) = status {
        return open_messages(app, &key, open, limit, after).await;
    }
    let limit = i32::try_from(limit).unwrap_or(i32::MAX);
    let Page { items: ids, next } = app.store.message_ids_of(&key, limit, after).await?;
    let now = app.now();
    let found = app.store.conversation_with_messages(&key, &ids, now).await?;
    let Shown { views, next } = shown(found.messages, found.conversation.as_ref(), next, status, now);
    Ok(Page { items: views, next })
}

/// The messages that wait or run. The meta item names all of them, so a page is complete, however old they are.
async fn open_messages(
    app: &App,
    key: &ConversationKey,
    status: &str,
    limit: u32,
    after: Option<&str>,
) -> Result<Page<MessageView, String>, AppError> {
    let Some(meta) = app.store.conversation(key, true).await? else {
        return Ok(Page { items: Vec::new(), next: None });
    };
    let waiting = || meta.queue.entries().iter().map(|entry| entry.message.clone());
    let ids: Vec<MessageId> = match status {
        "queued" => waiting().collect(),
        _ => meta.running().into_iter().cloned().collect(),
    };
    let now = app.now();
    let mut messages = app.store.messages(&ids, now).await?;
    // A replica may not know yet that the message was queued again.
    messages.iter_mut().for_each(|message| message.status = MessageStatus::Queued);
    let place = |message: &Message| message_list_key(message.enqueued_at, &message.id);
    messages.retain(|message| after.is_none_or(|after| place(message).as_str() < after));
    messages.sort_by_key(|message| std::cmp::Reverse(place(message)));
    let more = messages.len() > limit as usize;
    messages.truncate(limit as usize);
    let next = messages.last().filter(|_| more).map(place);
    let Shown { views, next } = shown(messages, Some(&meta), next, Some(status), now);
    Ok(Page { items: views, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_being_sent_to_a_caller() {
        for text in ["5;7;9|000001|3", ";;9|~00000|3|2"] {
            assert_eq!(HistoryPlace::read(text).unwrap().to_string(), text);
        }
        for text in ["5|000000|2", "x;;9|000001|3", ";;", ""] {
            assert!(HistoryPlace::read(text).is_none(), "{text}");
        }
        for text in ["m-1;0000000000005#m-0", ";0000000000005#m-0"] {
            assert_eq!(ItemPlace::read(text).unwrap().to_string(), text);
        }
        assert!(ItemPlace::read("0000000000005#m-0").is_none());
    }
}
