//! The backlog of the whole deployment: every message that waits, and every one that runs.
//!
//! Waiting messages are found where the system itself finds work, without an index of their own: first the ready
//! index shard by shard (conversations that nobody owns), then the conversations of the workers. The list is a walk
//! over a queue that moves: what is enqueued or claimed meanwhile may or may not be on it, and a conversation that
//! gets or loses its owner between two pages may be missed or come twice.

use std::collections::HashMap;

use af_domain::conversation::{Conversation, Entry, OrderKey, ReadyKey};
use af_domain::ids::{ConversationKey, MessageId};
use af_domain::pool::ReadyConversation;
use af_domain::refusal::Refusal;
use af_domain::time::Timestamp;
use af_domain::worker::Worker;
use af_store::conversation::ReadyCursor;

use crate::conversations::read_models::of_message;
use crate::pool::workers::{self, page};
use crate::settings::policies;
use crate::{App, AppError};
use af_domain::message::MessageView;

/// Queries of the ready index and of workers' conversations for one page. Each but the last of a shard brings as many
/// conversations as the page has room for; a page that meets many stale entries ends early and says where.
const MAX_STEPS: usize = 40;

/// Work that is due by then is all work: the last moment that sort keys can hold.
const END_OF_TIME: Timestamp = Timestamp::from_millis(9_999_999_999_998);

/// Parts a place's fields; none of them can hold it.
const SEPARATOR: char = '|';

/// How far a walk has come.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    stage: Stage,
    /// The last entry shown of the conversation that the stage names, when it was not shown to its end.
    within: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// In this partition of the ready index, at this entry (at the first one when none).
    Ready { shard: u64, at: Option<ReadyConversation> },
    /// Among the workers in order of their ids, at this one (at the first one when none).
    Owned { at: Option<String> },
}

/// A message found, with its conversation.
struct Found<'a>(MessageId, &'a Conversation);

/// One page of the messages that wait, those of one conversation in the order they will run, and where the next page
/// begins. `after` is where the page before ended.
///
/// # Errors
/// When they cannot be read, or `after` is not of this list.
pub async fn waiting(
    app: &App,
    limit: u32,
    after: Option<&str>,
) -> Result<(Vec<MessageView>, Option<String>), AppError> {
    let shards = policies::in_force(app).await?.queue.ready_shards;
    let first = Place { stage: Stage::Ready { shard: 0, at: None }, within: None };
    let mut place = Some(match after {
        Some(text) => {
            Place::read(text).ok_or_else(|| Refusal::field("/cursor", "cursor is not of this list"))?
        }
        None => first,
    });
    let mut shown = Vec::new();
    for _ in 0..MAX_STEPS {
        let room = (limit as usize).saturating_sub(shown.len());
        let Some(at) = place.clone().filter(|_| room > 0) else { break };
        let (conversations, next) = step(app, at.clone(), shards, room).await?;
        let (found, stopped) = entries(&conversations, at.within.as_deref(), room);
        shown.extend(views(app, found).await?.into_iter().filter(|v| v.status == "queued"));
        place = match stopped {
            Some((stage, within)) => Some(Place { stage, within: Some(within) }),
            None => next.map(|stage| Place { stage, within: None }),
        };
    }
    Ok((shown, place.map(|p| p.to_string())))
}

/// One page of the messages that run, by their workers' ids, and where the next page begins.
///
/// # Errors
/// When they cannot be read.
pub async fn running(
    app: &App,
    limit: u32,
    after: Option<&str>,
) -> Result<(Vec<MessageView>, Option<String>), AppError> {
    let (workers, next) = page(assigned(app).await?, limit, after);
    let keys: Vec<_> = workers.iter().filter_map(|w| w.assignment.as_ref()).map(|a| a.key.clone()).collect();
    let mut conversations = app.store.conversations(&keys).await?;
    conversations
        .sort_by(|a, b| a.owner.as_ref().map(|o| &o.worker).cmp(&b.owner.as_ref().map(|o| &o.worker)));
    let found = conversations.iter().filter_map(|c| c.running().map(|id| Found(id.clone(), c))).collect();
    let shown = views(app, found).await?.into_iter().filter(|v| v.status == "processing");
    Ok((shown.collect(), next))
}

async fn assigned(app: &App) -> Result<Vec<Worker>, AppError> {
    let (mut workers, _) = workers::readable(app).await?;
    workers.retain(|w| w.assignment.is_some());
    Ok(workers)
}

/// A conversation on the way, and the stage that names it.
type Passed = (Stage, Conversation);

/// The next conversations from `place` on, at most `room`, and the stage that follows them; none at the end.
async fn step(
    app: &App,
    place: Place,
    shards: u64,
    room: usize,
) -> Result<(Vec<Passed>, Option<Stage>), AppError> {
    match place.stage {
        Stage::Ready { shard, at: Some(at) } if place.within.is_some() => {
            let named = app.store.conversations(std::slice::from_ref(&at.key)).await?;
            let stage = Stage::Ready { shard, at: Some(at) };
            Ok((named.into_iter().map(|c| (stage.clone(), c)).collect(), Some(stage)))
        }
        Stage::Ready { shard, at } => {
            let cursor = at.as_ref().map(|at| ReadyCursor::at(shard, at));
            let page = i32::try_from(room).unwrap_or(i32::MAX);
            let (ready, more) = app.store.ready_page(shard, END_OF_TIME, page, cursor).await?;
            let next = match (more, ready.last()) {
                (Some(_), Some(last)) => Stage::Ready { shard, at: Some(last.clone()) },
                _ if shard + 1 < shards => Stage::Ready { shard: shard + 1, at: None },
                _ => Stage::Owned { at: None },
            };
            let keys: Vec<_> = ready.iter().map(|r| r.key.clone()).collect();
            let mut by_key = by_key(app.store.conversations(&keys).await?);
            // One that has got an owner since comes with the owned ones.
            let pass = |ready: ReadyConversation| {
                let conversation = by_key.remove(&ready.key).filter(|c| c.owner.is_none())?;
                Some((Stage::Ready { shard, at: Some(ready) }, conversation))
            };
            Ok((ready.into_iter().filter_map(pass).collect(), Some(next)))
        }
        Stage::Owned { at } => owned(app, at, place.within.is_some(), room).await,
    }
}

async fn owned(
    app: &App,
    at: Option<String>,
    resumes: bool,
    room: usize,
) -> Result<(Vec<Passed>, Option<Stage>), AppError> {
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
    let pass = |worker: Worker| {
        let conversation = by_key.remove(&worker.assignment.as_ref()?.key)?;
        let owns = conversation.owner.as_ref().is_some_and(|o| o.worker == worker.id);
        owns.then(|| (Stage::Owned { at: Some(worker.id.to_string()) }, conversation))
    };
    let passed = workers.into_iter().filter_map(pass).collect();
    Ok((passed, next.map(|id| Stage::Owned { at: Some(id) })))
}

fn by_key(conversations: Vec<Conversation>) -> HashMap<ConversationKey, Conversation> {
    conversations.into_iter().map(|c| (c.key.clone(), c)).collect()
}

/// The waiting messages of these conversations, at most `room`, and the last one shown when there is no room for all.
/// `within` holds for the first conversation only.
fn entries<'a>(
    passed: &'a [Passed],
    within: Option<&str>,
    room: usize,
) -> (Vec<Found<'a>>, Option<(Stage, String)>) {
    let mut found: Vec<Found<'a>> = Vec::new();
    let mut shown = None;
    for (i, (stage, conversation)) in passed.iter().enumerate() {
        let mut waiting: Vec<_> = conversation.queue.entries().iter().map(|e| (order(e), e)).collect();
        waiting.sort_by(|a, b| a.0.cmp(&b.0));
        let from = within.filter(|_| i == 0);
        for (order, entry) in
            waiting.into_iter().filter(|(order, _)| from.is_none_or(|from| order.as_str() > from))
        {
            if found.len() == room {
                return (found, shown);
            }
            found.push(Found(entry.message.clone(), conversation));
            shown = Some((stage.clone(), order));
        }
    }
    (found, None)
}

/// Sorts a conversation's messages as they run, by what never changes of them: a page goes on where the last ended
/// although others came and went.
fn order(entry: &Entry) -> String {
    format!("{}#{}", OrderKey::of(entry.priority, entry.due).as_str(), entry.message)
}

async fn views(app: &App, found: Vec<Found<'_>>) -> Result<Vec<MessageView>, AppError> {
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

impl std::fmt::Display for Place {
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

impl Place {
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
    fn a_place_is_read_back_as_it_was_written() {
        let at = Some(ready("abcdefghijklmnopqrstuvwx23"));
        let within = Some("050#0000000000007#tg:1:2".to_owned());
        for place in [
            Place { stage: Stage::Ready { shard: 3, at: None }, within: None },
            Place { stage: Stage::Ready { shard: 0, at: at.clone() }, within: None },
            Place { stage: Stage::Ready { shard: 0, at }, within: within.clone() },
            Place { stage: Stage::Owned { at: None }, within: None },
            Place { stage: Stage::Owned { at: Some("w-1".to_owned()) }, within: None },
            Place { stage: Stage::Owned { at: Some("w-1".to_owned()) }, within },
        ] {
            assert_eq!(Place::read(&place.to_string()), Some(place));
        }
    }

    #[test]
    fn what_is_no_place_is_not_read() {
        for text in ["", "x", "r", "r|first", "r|0|1#1|no key"] {
            assert_eq!(Place::read(text), None, "{text}");
        }
    }
}
