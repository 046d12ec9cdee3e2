//! Retry all: the dead letters of a conversation or an agent, oldest first, a bounded number in each call.
//!
//! The walk goes along the dead-letter marks and ends at the moment at which it began: a message that dies again while
//! it is under way is not retried again.

use af_domain::ids::{AgentKey, ConversationId, MessageId};
use af_domain::message::{Message, MessageStatus};
use af_domain::policy::Policies;
use af_domain::refusal::Refusal;
use af_domain::time::Timestamp;
use af_store::keys::DEAD_LETTER_SHARDS;
use af_store::message::DeadLetterMark;

use super::message;
use super::retry::{Retried, retried, token};
use crate::agents::profiles;
use crate::settings::policies;
use crate::{App, AppError};

/// Marks looked at in one call. Each that fits costs a read and a transaction, one after the other: about five seconds
/// when all do, of the 29 that the function has.
const MAX_LOOKED_AT: usize = 100;

/// Which dead letters.
#[derive(Debug, Clone)]
pub enum Which {
    /// Those of a conversation.
    Conversation(ConversationId),
    /// Those of an agent.
    Agent(AgentKey),
}

/// What one call did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetriedAll {
    /// How many wait again.
    pub retried: usize,
    /// Those that stay dead letters, because as many wait in their conversation as may.
    pub full: Vec<MessageId>,
    /// Those that stay dead letters, because their agent takes no messages.
    pub refused: Vec<MessageId>,
    /// Where the next call goes on, when there is more to look at.
    pub next: Option<String>,
}

/// How far a walk has come: until when it goes, and the last mark it has looked at.
struct Place {
    until: Timestamp,
    after: String,
}

/// Queues dead letters again, from where the call before ended.
///
/// # Errors
/// 422 when `after` is not of this walk.
pub async fn retry_all(
    app: &App,
    which: &Which,
    after: Option<&str>,
    idempotency: Option<(&str, &str)>,
) -> Result<RetriedAll, AppError> {
    let policies = policies::in_force(app).await?;
    let token = token(idempotency);
    let place = match after {
        Some(text) => {
            Place::read(text).ok_or_else(|| Refusal::field("/cursor", "cursor is not of this walk"))?
        }
        None => Place { until: app.now(), after: String::new() },
    };
    let (marks, more) = marks(app, &place).await?;
    let next = marks.last().filter(|_| more).map(|last| Place { after: last.place.clone(), ..place });
    let mut done = RetriedAll { next: next.map(|p| p.to_string()), ..RetriedAll::default() };
    for dead in wanted(app, which, marks).await? {
        one(app, dead, token.as_deref(), &policies, &mut done).await?;
    }
    Ok(done)
}

async fn one(
    app: &App,
    dead: Message,
    token: Option<&str>,
    policies: &Policies,
    done: &mut RetriedAll,
) -> Result<(), AppError> {
    let id = dead.id.clone();
    // Lists are eventually consistent, marks are not: one that says it is no dead letter may be out of date.
    let dead = if dead.status == MessageStatus::DeadLetter { dead } else { message(app, &id).await? };
    match profiles::taking_messages(app, &dead.agent).await {
        Err(AppError::Refused(_)) => {
            done.refused.push(id);
            return Ok(());
        }
        other => other?,
    };
    match retried(app, dead, token, policies).await? {
        Retried::Queued => done.retried += 1,
        Retried::Full => done.full.push(id),
        Retried::NotDead => {}
    }
    Ok(())
}

/// The next marks of the walk, oldest first, and whether more follow.
async fn marks(app: &App, place: &Place) -> Result<(Vec<DeadLetterMark>, bool), AppError> {
    // Up to and with the moment at which the walk began; the place that the last call ended at comes once more.
    let before = format!("{:013}", place.until.as_millis() + 1);
    let page = i32::try_from(MAX_LOOKED_AT + 2).unwrap_or(i32::MAX);
    let within = (place.after.as_str(), before.as_str());
    let shards = (0..DEAD_LETTER_SHARDS as u64).map(|s| app.store.dead_letters_oldest_first(s, page, within));
    let mut marks: Vec<_> = futures::future::try_join_all(shards).await?.into_iter().flatten().collect();
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

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}|{}", self.until, self.after)
    }
}

impl Place {
    fn read(text: &str) -> Option<Self> {
        let (until, after) = text.split_once('|')?;
        Some(Self { until: Timestamp::from_millis(until.parse().ok()?), after: after.to_owned() })
    }
}
