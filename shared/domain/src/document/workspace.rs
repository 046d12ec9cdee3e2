//! The workspace of a conversation: the documents of its agent and its own, as a worker receives them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::{Document, DocumentSet, SetHead};
use crate::ids::{AgentKey, ConversationKey};
use crate::policy::HydrationPolicy;
use crate::skill::bundle::sha256;
use crate::time::{Millis, Timestamp};

/// What the content of a workspace depends on. Its text changes with every one of these values.
#[derive(Clone, Debug)]
pub struct Fingerprint<'a> {
    /// The agent.
    pub agent: &'a AgentKey,
    /// The head of the agent's set.
    pub agent_head: &'a SetHead,
    /// The conversation.
    pub conversation: &'a ConversationKey,
    /// The head of the conversation's set.
    pub conversation_head: &'a SetHead,
    /// The limits of the workspace.
    pub limits: &'a HydrationPolicy,
    /// The current time; only its day matters.
    pub now: Timestamp,
}

impl Fingerprint<'_> {
    /// The fingerprint as text.
    pub fn text(&self) -> String {
        let head = |head: &SetHead| format!("{}@{}", head.revision, head.changed_at.as_millis());
        let parts = [
            self.agent.to_string(),
            head(self.agent_head),
            self.conversation.to_string(),
            head(self.conversation_head),
            self.limits.memory_days.to_string(),
            self.limits.max_document_bytes.to_string(),
            day_of(self.now),
        ];
        sha256(parts.join("\n").as_bytes()).to_string()
    }
}

/// How a worker receives a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// With its content.
    Content,
    /// With a link, because the content does not fit.
    Link,
}

/// A document with the set that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The document, which has content.
    pub document: Document,
    /// The set.
    pub set: DocumentSet,
}

/// A workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// All documents except the memory of days, by path.
    pub documents: Vec<(Placed, Delivery)>,
    /// The memory of the last days, the newest day first.
    pub memory_window: Vec<Placed>,
    /// The first day that the window covers, as `YYYY-MM-DD`. Documents of earlier days may exist.
    pub memory_since: String,
}

/// Compiles the workspace from the documents of an agent and of one conversation. A document of the conversation replaces
/// the agent's with the same path. Content is included while it fits; the memory of the newest day comes first, and the
/// first one that does not fit ends the window.
pub fn compile(
    agent: (&AgentKey, Vec<Document>),
    conversation: (&ConversationKey, Vec<Document>),
    limits: &HydrationPolicy,
    now: Timestamp,
) -> Workspace {
    let (agent_key, of_agent) = agent;
    let (conversation_key, of_conversation) = conversation;
    let agent_set = || DocumentSet::Agent(agent_key.clone());
    let own_set = || DocumentSet::Conversation(conversation_key.clone());
    let inherited = of_agent.into_iter().map(|document| Placed { document, set: agent_set() });
    let own = of_conversation.into_iter().filter(|document| document.path.is_personal());
    let own = own.map(|document| Placed { document, set: own_set() });
    let existing = inherited.chain(own).filter(|placed| placed.document.content.is_some());
    let by_path: BTreeMap<_, _> = existing.map(|placed| (placed.document.path.clone(), placed)).collect();
    let (mut days, others): (Vec<_>, Vec<_>) =
        by_path.into_values().partition(|placed| placed.document.path.day().is_some());
    let mut left = limits.max_document_bytes;
    let mut fits = |placed: &Placed| {
        let size = placed.document.size_bytes();
        let fits = size <= left;
        left -= if fits { size } else { 0 };
        fits
    };
    let delivered = |placed: Placed| {
        let delivery = if fits(&placed) { Delivery::Content } else { Delivery::Link };
        (placed, delivery)
    };
    let documents = others.into_iter().map(delivered).collect();
    let first_day = day_of(now - Millis::from_days(limits.memory_days.saturating_sub(1)));
    let mut memory_since = if limits.memory_days == 0 { "9999-12-31".to_owned() } else { first_day };
    days.retain(|placed| placed.document.path.day().is_some_and(|day| day >= memory_since.as_str()));
    days.sort_by(|one, other| Reverse(&one.document.path).cmp(&Reverse(&other.document.path)));
    if let Some(end) = days.iter().position(|placed| !fits(placed)) {
        // The window covers the days after the one that does not fit.
        let after = days[end].document.path.day().map(day_after);
        memory_since = after.unwrap_or(memory_since);
        days.truncate(end);
    }
    Workspace { documents, memory_window: days, memory_since }
}

/// The day of a time in UTC, as `YYYY-MM-DD`. Times after the year 9999 have its last day.
fn day_of(time: Timestamp) -> String {
    let ms = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    let moment = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX);
    moment.to_zoned(TimeZone::UTC).date().to_string()
}

/// The day after `day`.
fn day_after(day: &str) -> String {
    let next = day.parse::<jiff::civil::Date>().ok().and_then(|date| date.tomorrow().ok());
    next.map_or_else(|| day.to_owned(), |date| date.to_string())
}

#[cfg(test)]
mod tests;
