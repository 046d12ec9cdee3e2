//! Retry all: queues the dead letters of a conversation or an agent again, the oldest first, a limited number
//! per call.
//!
//! The calls follow the dead-letter marks that existed when the first call began. A message that becomes a dead
//! letter again after that has a later mark, so it is not retried twice.

use af_api::queue::RetryAllAnswer;
use af_domain::ids::{AgentKey, ConversationId};
use af_domain::message::{Message, MessageStatus};
use af_domain::refusal::Refusal;
use af_domain::time::Timestamp;
use af_store::keys::DEAD_LETTER_SHARDS;
use af_store::message::DeadLetterMark;

use super::messages::message;
use super::retry::{Retried, retried, token};
use crate::agents::profiles;
use crate::settings::policies;
use crate::{App, AppError};

/// Most marks read in one call. Each matching mark costs a read and a transaction in sequence: about five
/// seconds if all match, of the 29 s of the function.
const MAX_LOOKED_AT: usize = 100;

/// The dead letters to retry.
#[derive(Debug, Clone)]
pub enum Which {
    /// The dead letters of a conversation.
    Conversation(ConversationId),
    /// The dead letters of an agent.
    Agent(AgentKey),
}

/// The position of the list: its end time and the last mark it has read.
struct Cursor {
    until: Timestamp,
    after: String,
}

/// Queues dead letters again, starting after the previous call. The answer has the position of the next call as its
/// `next_cursor`.
///
/// # Errors
/// Returns 422 if `after` is not a cursor of this list.
pub async fn retry_all(
    app: &App,
    which: &Which,
    after: Option<&str>,
    idempotency: Option<(&str, &str)>,
) -> Result<RetryAllAnswer, AppError> {
    let token = token(idempotency);
    let place = match after {
        Some(text) => Cursor::read(text)
            .ok_or_else(|| Refusal::field("/cursor", "cursor does not belong to this list"))?,
        None => Cursor { until: app.now(), after: String::new() },
    };
    let (marks, more) = marks(app, &place).await?;
    let next = marks.last().filter(|_| more).map(|last| Cursor { after: last.place.clone(), ..place });
    let next_cursor = next.map(|p| p.to_string());
    let mut done = RetryAllAnswer { next_cursor, ..RetryAllAnswer::default() };
    for dead in wanted(app, which, marks).await? {
        one(app, dead, token.as_deref(), &mut done).await?;
    }
    Ok(done)
}

async fn one(
    app: &App,
    dead: Message,
    token: Option<&str>,
    done: &mut RetryAllAnswer,
) -> Result<(), AppError> {
    let id = dead.id.clone();
    // The message was read eventually consistent, but its mark strongly. If the message is not a dead letter,
    // the read may be out of date.
    let dead = if dead.status == MessageStatus::DeadLetter { dead } else { message(app, &id).await? };
    match profiles::taking_messages(app, &dead.agent).await {
        Err(AppError::Refused(_)) => {
            done.refused.push(id.to_string());
            return Ok(());
        }
        other => other?,
    };
    let policies = policies::for_agent(app, &dead.agent).await?;
    match retried(app, dead, token, &policies).await? {
        Retried::Queued => done.retried += 1,
        Retried::Full => done.full.push(id.to_string()),
        Retried::NotDead => {}
    }
    Ok(())
}

/// Returns the next marks of the list, the oldest first, and whether there are more.
async fn marks(app: &App, place: &Cursor) -> Result<(Vec<DeadLetterMark>, bool), AppError> {
    // The range includes the start moment of the list. It also includes the last mark of the previous call,
    // which is filtered out below.
    let before = format!("{:013}", place.until.as_millis() + 1);
    let page = i32::try_from(MAX_LOOKED_AT + 2).unwrap_or(i32::MAX);
    let shards = (0..DEAD_LETTER_SHARDS as u64)
        .map(|shard| app.store.dead_letters_oldest_first(shard, page, &place.after, &before));
    let mut marks = futures::future::try_join_all(shards).await?.concat();
    marks.retain(|mark| mark.place > place.after);
    marks.sort_by(|a, b| a.place.cmp(&b.place));
    let more = marks.len() > MAX_LOOKED_AT;
    marks.truncate(MAX_LOOKED_AT);
    Ok((marks, more))
}

async fn wanted(app: &App, which: &Which, mut marks: Vec<DeadLetterMark>) -> Result<Vec<Message>, AppError> {
    if let Which::Conversation(conversation) = which {
        marks.retain(|mark| &mark.conversation == conversation);
    }
    let ids: Vec<_> = marks.into_iter().map(|mark| mark.message).collect();
    let mut messages = app.store.messages(&ids, app.now()).await?;
    if let Which::Agent(agent) = which {
        messages.retain(|message| &message.agent == agent);
    }
    Ok(messages)
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}|{}", self.until, self.after)
    }
}

impl Cursor {
    fn read(text: &str) -> Option<Self> {
        let (until, after) = text.split_once('|')?;
        Some(Self { until: Timestamp::from_millis(until.parse().ok()?), after: after.to_owned() })
    }
}
