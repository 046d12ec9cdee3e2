//! Lists of messages: of a conversation, and all dead letters.

use af_domain::ids::ConversationId;
use af_domain::message::{MessageStatus, MessageView};
use af_store::keys::DEAD_LETTER_SHARDS;
use af_store::message::message_list_key;
use af_store::{Page, conversation_key};

use crate::conversations::read_models;
use crate::{App, AppError};

/// Most bytes of one page of messages in a response. A single message is smaller. A function response is
/// limited to 6 MB.
const MAX_MESSAGES_PAGE_BYTES: u64 = 2 * 1024 * 1024;

/// Returns one page of a conversation's messages, the newest first. `status` filters by state. A page with
/// large messages ends early.
pub async fn of_conversation(
    app: &App,
    conversation: &ConversationId,
    status: Option<&str>,
    limit: u32,
    after: Option<&str>,
) -> Result<(Vec<MessageView>, Option<String>), AppError> {
    let key = conversation_key(conversation);
    let limit = i32::try_from(limit).unwrap_or(i32::MAX);
    let Page { items: ids, next } = app.store.message_ids_of(&key, limit, after).await?;
    let now = app.now();
    let (meta, messages) = tokio::join!(app.store.conversation(&key, true), app.store.messages(&ids, now));
    let meta = meta?;
    let (mut shown, mut bytes, mut last) = (Vec::new(), 0, None);
    for message in messages? {
        let place = message_list_key(message.enqueued_at, &message.id);
        let view = read_models::of_message(message, meta.as_ref(), now);
        if status.is_none_or(|s| s == view.status) {
            bytes += read_models::answer_bytes_of(&view);
            if bytes > MAX_MESSAGES_PAGE_BYTES && !shown.is_empty() {
                return Ok((shown, last));
            }
            shown.push(view);
        }
        last = Some(place);
    }
    Ok((shown, next))
}

/// Returns one page of dead letters, the newest first, starting before the mark `before`.
pub async fn dead_letters(
    app: &App,
    limit: u32,
    before: Option<&str>,
) -> Result<(Vec<MessageView>, Option<String>), AppError> {
    // Each shard is read for one more mark than the page has, because all of them may be in one shard.
    let page = i32::try_from(limit.saturating_add(1)).unwrap_or(i32::MAX);
    let shards = (0..DEAD_LETTER_SHARDS as u64).map(|s| app.store.dead_letters(s, page, before));
    let mut marks = futures::future::try_join_all(shards).await?.concat();
    marks.sort_by(|a, b| b.place.cmp(&a.place));
    let more = marks.len() > limit as usize;
    marks.truncate(limit as usize);
    let next = marks.last().filter(|_| more).map(|mark| mark.place.clone());
    let ids: Vec<_> = marks.into_iter().map(|mark| mark.message).collect();
    let now = app.now();
    let messages = app.store.messages(&ids, now).await?;
    let dead = messages.into_iter().filter(|m| m.status == MessageStatus::DeadLetter);
    Ok((dead.map(|m| read_models::of_message(m, None, now)).collect(), next))
}
