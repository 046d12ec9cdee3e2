//! The backlog of the whole deployment: all waiting and all running messages.
//!
//! Waiting messages need no index of their own. The list reads the ready index shard by shard (conversations
//! without an owner), and then the conversations of the workers. The queue changes during the list: a message
//! that is enqueued or claimed in between may or may not be listed, and a conversation that gets or loses its
//! owner between two pages may be missed or listed twice.

use std::collections::HashMap;

use af_domain::conversation::{Conversation, Entry, OrderKey, ReadyKey};
use af_domain::ids::{ConversationKey, MessageId};
use af_domain::message::MessageView;
use af_domain::pool::ReadyConversation;
use af_domain::refusal::Refusal;
use af_domain::time::Timestamp;
use af_domain::worker::Worker;
use af_store::Page;
use af_store::conversation::ReadyCursor;

use crate::conversations::read_models::of_message;
use crate::pool::workers::{self, page};
use crate::settings::policies;
use crate::{App, Result};

/// Most queries of the ready index and of workers' conversations for one page. Each query but the last of a
/// shard returns as many conversations as the page has room for. A page with many stale entries ends early
/// and returns its cursor.
const MAX_STEPS: usize = 40;

/// The last moment that sort keys can contain. All work is due by then.
const END_OF_TIME: Timestamp = Timestamp::from_millis(9_999_999_999_998);

/// Separates the fields of a cursor. No field contains it.
const SEPARATOR: char = '|';

/// The position of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cursor {
    stage: Stage,
    /// The order key of the last listed entry of the stage's conversation, if it has further entries.
    within: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// In this partition of the ready index, at this entry (at the first entry if `None`).
    Ready { shard: u64, at: Option<ReadyConversation> },
    /// In the workers ordered by id, at this worker (at the first worker if `None`).
    Owned { at: Option<String> },
}

/// A listed message with its conversation.
struct ListedMessage<'a>(MessageId, &'a Conversation);

/// Returns one page of the waiting messages and the cursor of the next page. The messages of one conversation are in
/// the order in which they will run. `after` is the cursor of the previous page. Returns an error if the messages
/// cannot be read, or `after` is not a cursor of this list.
pub async fn waiting(
    app: &App,
    limit: u32,
    after: Option<&str>,
) -> Result<(Vec<MessageView>, Option<String>)> {
    let shards = policies::in_force(app).await?.queue.ready_shards;
    let first = Cursor { stage: Stage::Ready { shard: 0, at: None }, within: None };
    let mut cursor = Some(match after {
        Some(text) => Cursor::read(text)
            .ok_or_else(|| Refusal::field("/cursor", "cursor does not belong to this list"))?,
        None => first,
    });
    let mut shown = Vec::new();
    for _ in 0..MAX_STEPS {
        let room = (limit as usize).saturating_sub(shown.len());
        let Some(at) = cursor.clone().filter(|_| room > 0) else { break };
        let (conversations, next) = step(app, at.clone(), shards, room).await?;
        let (found, stopped) = entries(&conversations, at.within.as_deref(), room);
        shown.extend(views(app, found).await?.into_iter().filter(|v| v.status == "queued"));
        cursor = match stopped {
            Some((stage, within)) => Some(Cursor { stage, within: Some(within) }),
            None => next.map(|stage| Cursor { stage, within: None }),
        };
    }
    Ok((shown, cursor.map(|p| p.to_string())))
}

/// Returns one page of the running messages ordered by worker id, and the cursor of the next page.
pub async fn running(
    app: &App,
    limit: u32,
    after: Option<&str>,
) -> Result<(Vec<MessageView>, Option<String>)> {
    let (workers, next) = page(assigned(app).await?, limit, after);
    let keys: Vec<_> = workers.iter().filter_map(|w| w.assignment.as_ref()).map(|a| a.key.clone()).collect();
    let mut conversations = app.store.conversations(&keys).await?;
    conversations
        .sort_by(|a, b| a.owner.as_ref().map(|o| &o.worker).cmp(&b.owner.as_ref().map(|o| &o.worker)));
    let found =
        conversations.iter().filter_map(|c| c.running().map(|id| ListedMessage(id.clone(), c))).collect();
    let shown = views(app, found).await?.into_iter().filter(|v| v.status == "processing");
    Ok((shown.collect(), next))
}

async fn assigned(app: &App) -> Result<Vec<Worker>> {
    let (mut workers, _) = workers::readable(app).await?;
    workers.retain(|w| w.assignment.is_some());
    Ok(workers)
}

/// A conversation and the stage at which it was read.
type Listed = (Stage, Conversation);

/// Returns the next conversations from `cursor` on, at most `room`, and the stage after them; `None` at the
/// end.
async fn step(app: &App, cursor: Cursor, shards: u64, room: usize) -> Result<(Vec<Listed>, Option<Stage>)> {
    match cursor.stage {
        Stage::Ready { shard, at: Some(at) } if cursor.within.is_some() => {
            let named = app.store.conversations(std::slice::from_ref(&at.key)).await?;
            let stage = Stage::Ready { shard, at: Some(at) };
            Ok((named.into_iter().map(|c| (stage.clone(), c)).collect(), Some(stage)))
        }
        Stage::Ready { shard, at } => {
            let cursor = at.as_ref().map(|at| ReadyCursor::at(shard, at));
            let page = i32::try_from(room).unwrap_or(i32::MAX);
            let Page { items: ready, next } = app.store.ready_page(shard, END_OF_TIME, page, cursor).await?;
            let next = match (next, ready.last()) {
                (Some(_), Some(last)) => Stage::Ready { shard, at: Some(last.clone()) },
                _ if shard + 1 < shards => Stage::Ready { shard: shard + 1, at: None },
                _ => Stage::Owned { at: None },
            };
            let keys: Vec<_> = ready.iter().map(|r| r.key.clone()).collect();
            let mut by_key = by_key(app.store.conversations(&keys).await?);
            // A conversation that got an owner in between is listed with the owned conversations.
            let listed_at = |ready: ReadyConversation| {
                let conversation = by_key.remove(&ready.key).filter(|c| c.owner.is_none())?;
                Some((Stage::Ready { shard, at: Some(ready) }, conversation))
            };
            Ok((ready.into_iter().filter_map(listed_at).collect(), Some(next)))
        }
        Stage::Owned { at } => owned(app, at, cursor.within.is_some(), room).await,
    }
}

async fn owned(
    app: &App,
    at: Option<String>,
    resumes: bool,
    room: usize,
) -> Result<(Vec<Listed>, Option<Stage>)> {
    let mut workers = assigned(app).await?;
    let (workers, next) = if resumes {
        let next = at.clone();
        workers.retain(|w| Some(w.id.as_str()) == at.as_deref());
        (workers, next)
    } else {
        page(workers, u32::try_from(room).unwrap_or(u32::MAX), at.as_deref())
    };
    let keys: Vec<_> = workers.iter().filter_map(|w| w.assignment.as_ref()).map(|a| a.key.clone()).collect();
    let mut by_key = by_key(app.store.conversations(&keys).await?);
    let listed_at = |worker: Worker| {
        let conversation = by_key.remove(&worker.assignment.as_ref()?.key)?;
        conversation
            .is_owned_by(&worker.id)
            .then(|| (Stage::Owned { at: Some(worker.id.to_string()) }, conversation))
    };
    let listed = workers.into_iter().filter_map(listed_at).collect();
    Ok((listed, next.map(|id| Stage::Owned { at: Some(id) })))
}

fn by_key(conversations: Vec<Conversation>) -> HashMap<ConversationKey, Conversation> {
    conversations.into_iter().map(|c| (c.key.clone(), c)).collect()
}

/// Returns the waiting messages of these conversations, at most `room`, and the last listed position if there
/// is no room for all. `within` applies only to the first conversation.
fn entries<'a>(
    listed: &'a [Listed],
    within: Option<&str>,
    room: usize,
) -> (Vec<ListedMessage<'a>>, Option<(Stage, String)>) {
    let mut found: Vec<ListedMessage<'a>> = Vec::new();
    let mut shown = None;
    for (i, (stage, conversation)) in listed.iter().enumerate() {
        let mut waiting: Vec<_> = conversation.queue.entries().iter().map(|e| (order(e), e)).collect();
        waiting.sort_by(|a, b| a.0.cmp(&b.0));
        let from = within.filter(|_| i == 0);
        for (order, entry) in
            waiting.into_iter().filter(|(order, _)| from.is_none_or(|from| order.as_str() > from))
        {
            if found.len() == room {
                return (found, shown);
            }
            found.push(ListedMessage(entry.message.clone(), conversation));
            shown = Some((stage.clone(), order));
        }
    }
    (found, None)
}

/// The order key of a message within its conversation. It consists of values that never change, so that a
/// page continues at the right position even if other messages were added or removed.
fn order(entry: &Entry) -> String {
    format!("{}#{}", OrderKey::of(entry.priority, entry.due).as_str(), entry.message)
}

async fn views(app: &App, found: Vec<ListedMessage<'_>>) -> Result<Vec<MessageView>> {
    let ids: Vec<_> = found.iter().map(|f| f.0.clone()).collect();
    let conversations: HashMap<_, _> = found.into_iter().map(|f| (f.0, f.1)).collect();
    let now = app.now();
    let messages = app.store.messages(&ids, now).await?;
    Ok(messages
        .into_iter()
        .map(|m| (conversations.get(&m.id).copied(), m))
        .map(|(c, m)| of_message(m, c, now))
        .collect())
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.stage {
            Stage::Ready { shard, at: None } => write!(f, "r|{shard}")?,
            Stage::Ready { shard, at: Some(at) } => write!(f, "r|{shard}|{}|{}", at.ready, at.key)?,
            Stage::Owned { at: None } => write!(f, "o")?,
            Stage::Owned { at: Some(worker) } => write!(f, "o|{worker}")?,
        }
        match &self.within {
            Some(order) => write!(f, "|{order}"),
            None => Ok(()),
        }
    }
}

impl Cursor {
    fn read(text: &str) -> Option<Self> {
        let mut fields = text.splitn(5, SEPARATOR);
        let stage = match fields.next()? {
            "r" => {
                let shard = fields.next()?.parse().ok()?;
                let at = match (fields.next(), fields.next()) {
                    (Some(ready), Some(key)) => Some(ReadyConversation {
                        key: ConversationKey::parse(key).ok()?,
                        ready: ReadyKey::from_stored(ready.to_owned()),
                    }),
                    _ => None,
                };
                Stage::Ready { shard, at }
            }
            "o" => Stage::Owned { at: fields.next().map(str::to_owned) },
            _ => return None,
        };
        Some(Self { stage, within: fields.next().map(str::to_owned) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(key: &str) -> ReadyConversation {
        ReadyConversation {
            key: ConversationKey::parse(key).unwrap(),
            ready: ReadyKey::at(Timestamp::from_millis(7)),
        }
    }

    #[test]
    fn a_cursor_survives_being_written_and_parsed() {
        let at = Some(ready("abcdefghijklmnopqrstuvwx23"));
        let within = Some("050#0000000000007#tg:1:2".to_owned());
        for cursor in [
            Cursor { stage: Stage::Ready { shard: 3, at: None }, within: None },
            Cursor { stage: Stage::Ready { shard: 0, at: at.clone() }, within: None },
            Cursor { stage: Stage::Ready { shard: 0, at }, within: within.clone() },
            Cursor { stage: Stage::Owned { at: None }, within: None },
            Cursor { stage: Stage::Owned { at: Some("w-1".to_owned()) }, within: None },
            Cursor { stage: Stage::Owned { at: Some("w-1".to_owned()) }, within },
        ] {
            assert_eq!(Cursor::read(&cursor.to_string()), Some(cursor));
        }
    }

    #[test]
    fn an_invalid_cursor_is_rejected() {
        for text in ["", "x", "r", "r|first", "r|0|1#1|no key"] {
            assert_eq!(Cursor::read(text), None, "{text}");
        }
    }
}
