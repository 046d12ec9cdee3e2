//! The events of a conversation: the changes since a caller looked last, without an item for each event.

use af_domain::agent::conversation_of;
use af_domain::conversation::Conversation;
use af_domain::follow::{Change, Listed, MAX_LISTED, Present, Seen, late_from};
use af_domain::ids::{AgentKey, ConsumerUserId, ConversationKey};
use af_domain::time::{Millis, Timestamp};
use af_store::conversation_key;

use super::view::{is_bound, missing};
use crate::{App, Result};

/// The changes of a conversation, and what the caller has seen after them.
#[derive(Debug)]
pub struct Followed {
    /// The changes, in order.
    pub changes: Vec<Change>,
    /// What the caller has seen.
    pub seen: Seen,
}

/// Returns the first changes for a caller that follows the conversation of `user` with `agent`: the messages that wait or run.
///
/// # Errors
/// Returns 404 if there is no conversation, and the user is not bound to the agent.
pub async fn begin(app: &App, user: &ConsumerUserId, agent: &AgentKey) -> Result<Followed> {
    let key = conversation_key(&conversation_of(agent, user)?);
    let now = app.now();
    let (conversation, listed) =
        tokio::try_join!(app.store.conversation(&key, true), listed(app, &key, late_from(now)))?;
    if conversation.is_none() && !is_bound(app, user, agent).await? {
        return Err(missing(user, agent).into());
    }
    let (changes, seen) = Seen::first(conversation.as_ref(), &listed, now);
    Ok(Followed { changes, seen })
}

/// Returns the changes since `seen`: at once if there are some, otherwise when there are some or after `wait`. A look at an
/// unchanged conversation reads one item.
pub async fn follow(
    app: &App,
    user: &ConsumerUserId,
    agent: &AgentKey,
    mut seen: Seen,
    wait: Millis,
) -> Result<Followed> {
    let key = conversation_key(&conversation_of(agent, user)?);
    let mut looks = app.waits.looks(wait);
    loop {
        let followed = look(app, &key, &seen).await?;
        if !followed.changes.is_empty() || !looks.next().await {
            return Ok(followed);
        }
        seen = followed.seen;
    }
}

async fn look(app: &App, key: &ConversationKey, seen: &Seen) -> Result<Followed> {
    let now = app.now();
    let conversation = app.store.conversation(key, true).await?;
    let conversation: Option<&Conversation> = conversation.as_ref();
    let listed = if seen.needs_list(conversation, now) {
        listed(app, key, seen.list_from()).await?
    } else {
        Listed::default()
    };
    let wanted = if listed.more { Vec::new() } else { seen.wanted(conversation, &listed) };
    let messages = app.store.messages_now(&wanted, now).await?;
    let present = Present { conversation, listed: &listed, messages: &messages, now };
    let (changes, seen) = seen.advance(&present);
    Ok(Followed { changes, seen })
}

async fn listed(app: &App, key: &ConversationKey, from: Timestamp) -> Result<Listed, af_store::StoreError> {
    let limit = i32::try_from(MAX_LISTED).unwrap_or(i32::MAX);
    let page = app.store.messages_since(key, from, limit).await?;
    Ok(Listed { messages: page.items, more: page.next.is_some() })
}

/// The name of the listing, which a signed cursor has. It is short, because the cursor is a part of a URL.
pub fn listing(user: &ConsumerUserId, agent: &AgentKey) -> Result<String> {
    Ok(format!("events {}", conversation_key(&conversation_of(agent, user)?)))
}
