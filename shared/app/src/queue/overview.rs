//! A conversation as an operator sees it: its newest messages with their attempts, and what it waits for. A page takes at
//! most six requests, the first of which is [`get`](crate::conversations::get).

use std::hash::{DefaultHasher, Hash, Hasher};

use af_domain::conversation::Conversation;
use af_domain::message::MessageView;
use af_store::message::message_list_key;

use super::version::LONGEST;
use super::why::{Why, of_ended, of_waiting};
use crate::conversations::read_models::{answer_bytes_of, of_message};
use crate::settings::policies;
use crate::{App, Result};

/// Most bytes of the messages of a page. A single message is smaller. A function response is limited to 6 MB.
const MAX_MESSAGES_PAGE_BYTES: u64 = 2 * 1024 * 1024;

/// A page of a conversation.
#[derive(Debug)]
pub struct Overview {
    /// The messages, the newest first.
    pub messages: Vec<MessageView>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
    /// What the message waits for that runs or comes first, or else what became of the newest one. `None` without messages.
    pub why: Option<Why>,
}

/// Returns a text that changes when the queue, the lease, the owner or the progress of `conversation` changes, and every ten
/// seconds.
pub fn version(app: &App, conversation: &Conversation) -> String {
    let mut hash = DefaultHasher::new();
    (app.now().as_millis() / LONGEST.as_millis()).hash(&mut hash);
    conversation.version.hash(&mut hash);
    let lease = conversation.lease.as_ref();
    lease.map(|lease| (lease.expires_at, lease.progress.as_ref())).hash(&mut hash);
    format!("{:016x}", hash.finish())
}

/// Returns a page of `conversation`, after the position `after`.
pub async fn overview(
    app: &App,
    conversation: &Conversation,
    limit: u32,
    after: Option<&str>,
) -> Result<Overview> {
    let limit = i32::try_from(limit).unwrap_or(i32::MAX);
    let listed = app.store.message_ids_of(&conversation.key, limit, after).await?;
    let now = app.now();
    let (mut messages, mut next, mut bytes) = (Vec::new(), listed.next, 0);
    for message in app.store.messages(&listed.items, now).await? {
        let place = message_list_key(message.enqueued_at, &message.id);
        let view = of_message(message, Some(conversation), now);
        bytes += answer_bytes_of(&view);
        messages.push(view);
        if bytes > MAX_MESSAGES_PAGE_BYTES {
            next = Some(place);
            break;
        }
    }
    let policies = policies::in_force(app).await?;
    let waiting = conversation.in_order(now, &policies);
    let first = conversation.running().or_else(|| waiting.first().map(|entry| &entry.message));
    let why = match (first, messages.first()) {
        (Some(id), _) => Some(of_waiting(app, Some(conversation), id).await?),
        (None, Some(newest)) => Some(of_ended(app, &newest.message, newest.status).await?),
        (None, None) => None,
    };
    Ok(Overview { messages, next, why })
}
