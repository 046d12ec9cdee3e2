//! The queue as an operator sees it: counts without scanning, and lists.

use af_domain::ids::ConversationId;
use af_domain::message::MessageStatus;
use af_domain::time::{Millis, Timestamp};
use af_store::conversation_key;
use af_store::keys::DEAD_LETTER_SHARDS;
use af_store::message::place_in_conversation;

use crate::views::MessageView;
use crate::{App, AppError, policies, views};

/// Entries of each shard looked at for the age of the oldest; the ready index sorts by priority before age, so
/// the figure is exact up to this many waiting conversations a shard.
const OLDEST_LOOKED_AT: i32 = 500;

/// Bytes of an answer that a page of messages may take; one message alone takes less. A function's answer may have 6 MB.
const MESSAGES_PAGE_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// How much waits, runs and is dead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// Messages that may run now.
    pub queued_ready: i64,
    /// Messages that wait for a time: scheduled, or for their retry.
    pub queued_scheduled: i64,
    /// Messages that run.
    pub processing: i64,
    /// Dead letters.
    pub dead_letter: i64,
    /// How long the conversation that waits longest for a worker has waited.
    pub oldest_ready_age: Option<Millis>,
    /// When the counts were last brought up to date; they follow the table's stream.
    pub as_of: Option<Timestamp>,
}

/// The queue in figures.
///
/// # Errors
/// When they cannot be read.
pub async fn stats(app: &App) -> Result<Stats, AppError> {
    let policies = policies::in_force(app).await?;
    let now = app.now();
    let shards =
        (0..policies.queue.ready_shards).map(|s| app.store.ready_page(s, now, OLDEST_LOOKED_AT, None));
    let (counters, pages) = tokio::join!(app.store.counters(), futures::future::join_all(shards));
    let counters = counters?;
    let mut oldest = None;
    for page in pages {
        let since = page?.0.iter().filter_map(|c| c.ready.time()).min();
        oldest = oldest.into_iter().chain(since).min();
    }
    Ok(Stats {
        queued_ready: counters.queued_ready,
        queued_scheduled: counters.queued_scheduled,
        processing: counters.processing,
        dead_letter: counters.dead_letter,
        oldest_ready_age: oldest.map(|since| now.since(since)),
        as_of: counters.as_of,
    })
}

/// One page of a conversation's messages, newest first; `status` keeps those in that state. The page ends early where
/// messages are large.
///
/// # Errors
/// When they cannot be read.
pub async fn of_conversation(
    app: &App,
    conversation: &ConversationId,
    status: Option<&str>,
    limit: u32,
    after: Option<&str>,
) -> Result<(Vec<MessageView>, Option<String>), AppError> {
    let key = conversation_key(conversation);
    let limit = i32::try_from(limit).unwrap_or(i32::MAX);
    let (ids, next) = app.store.message_ids_of(&key, limit, after).await?;
    let now = app.now();
    let (meta, messages) = tokio::join!(app.store.conversation(&key, true), app.store.messages(&ids, now));
    let meta = meta?;
    let (mut shown, mut bytes, mut last) = (Vec::new(), 0, None);
    for message in messages? {
        let place = place_in_conversation(message.enqueued_at, &message.id);
        let view = views::of_message(message, meta.as_ref());
        if status.is_none_or(|s| s == view.status) {
            bytes += views::answer_bytes_of(&view);
            if bytes > MESSAGES_PAGE_BYTES_MAX && !shown.is_empty() {
                return Ok((shown, last));
            }
            shown.push(view);
        }
        last = Some(place);
    }
    Ok((shown, next))
}

/// One page of dead letters, newest first, starting before the mark `before`.
///
/// # Errors
/// When they cannot be read.
pub async fn dead_letters(
    app: &App,
    limit: u32,
    before: Option<&str>,
) -> Result<(Vec<MessageView>, Option<String>), AppError> {
    // One more than the page holds: all of it may stand in one shard.
    let page = i32::try_from(limit.saturating_add(1)).unwrap_or(i32::MAX);
    let shards = (0..DEAD_LETTER_SHARDS as u64).map(|s| app.store.dead_letters(s, page, before));
    let mut marks = Vec::new();
    for shard in futures::future::join_all(shards).await {
        marks.extend(shard?);
    }
    marks.sort_by(|a, b| b.0.cmp(&a.0));
    let more = marks.len() > limit as usize;
    marks.truncate(limit as usize);
    let next = marks.last().filter(|_| more).map(|(mark, _)| mark.clone());
    let ids: Vec<_> = marks.into_iter().map(|(_, id)| id).collect();
    let messages = app.store.messages(&ids, app.now()).await?;
    let dead = messages.into_iter().filter(|m| m.status == MessageStatus::DeadLetter);
    Ok((dead.map(|m| views::of_message(m, None)).collect(), next))
}
