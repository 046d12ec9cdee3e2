//! Following a conversation: what a caller has seen of it, and what has changed since.
//!
//! No event is stored. What a caller has seen is a short value that the caller sends back: the version of the conversation,
//! and the state of each message that has not ended. The changes are the differences between this value and the present
//! state. So a state that ends before it is read is left out, but the end of a message and its reply are not.

mod change;
mod text;

use crate::conversation::{Conversation, Entry};
use crate::ids::MessageId;
use crate::message::{Message, MessageStatus};
use crate::outbox::DeliveryState;
use crate::time::{MAX_REPLICATION_LAG, Timestamp};

pub use change::{Change, StatusChange};

/// Most new messages that one look lists. After more, the caller must read the conversation anew.
pub const MAX_LISTED: usize = 50;
/// Most bytes of the followed messages in a [`Seen`], which becomes a part of a URL: about 60 messages.
const MAX_FOLLOWED_BYTES: usize = 1_800;

/// The part of a conversation that a caller has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When the conversation was read.
    at: Timestamp,
    /// The version of the conversation; zero before its first message.
    version: u64,
    /// When a new version was noticed last.
    changed_at: Timestamp,
    /// Messages that were accepted before are not listed, because the caller reads them in the conversation.
    from: Timestamp,
    /// Open messages that are not followed, because there are too many.
    others: usize,
    /// The messages that are followed.
    followed: Vec<Followed>,
    /// The progress of the running message.
    progress: Option<String>,
}

/// A message and its state as the caller has seen it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Followed {
    message: MessageId,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It waits, after this number of counted claims.
    Queued(u32),
    /// It runs; this is the number of counted claims.
    Processing(u32),
    /// It is done, and its reply waits for its delivery.
    Delivering,
    /// Its end was noticed at this time. A list that lags may still show it as new.
    Ended(Timestamp),
}

/// The messages of the conversation that were accepted lately, as its list shows them.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// The messages.
    pub messages: Vec<MessageId>,
    /// Whether there are more.
    pub more: bool,
}

/// The present state of the conversation.
#[derive(Debug)]
pub struct Present<'a> {
    /// The conversation; `None` before its first message.
    pub conversation: Option<&'a Conversation>,
    /// The messages that were accepted since [`Seen::list_from`].
    pub listed: &'a Listed,
    /// The messages of [`Seen::wanted`].
    pub messages: &'a [Message],
    /// The present time.
    pub now: Timestamp,
}

/// An open message with its state.
struct Open<'a> {
    entry: &'a Entry,
    state: State,
    since: Option<Timestamp>,
}

/// The moment since which accepted messages may be missing in a list that is read at `now`.
pub fn late_from(now: Timestamp) -> Timestamp {
    Timestamp::from_millis(now.as_millis().saturating_sub(MAX_REPLICATION_LAG.as_millis()))
}

fn open(conversation: Option<&Conversation>) -> Vec<Open<'_>> {
    let Some(conversation) = conversation else { return Vec::new() };
    let running = conversation.lease.iter().map(|lease| Open {
        entry: &lease.entry,
        state: State::Processing(lease.entry.attempts_counted()),
        since: Some(lease.claimed_at),
    });
    let waiting = conversation.queue.entries().iter().map(|entry| Open {
        entry,
        state: State::Queued(entry.attempts_counted()),
        since: None,
    });
    running.chain(waiting).collect()
}

fn progress_of(conversation: Option<&Conversation>) -> Option<&str> {
    conversation?.lease.as_ref()?.progress.as_deref()
}

fn version_of(conversation: Option<&Conversation>) -> u64 {
    conversation.map_or(0, |conversation| conversation.version)
}

impl Seen {
    /// The first changes that a caller sees: the messages that wait or run. The messages of `listed` that have ended are not
    /// reported.
    pub fn first(
        conversation: Option<&Conversation>,
        listed: &Listed,
        now: Timestamp,
    ) -> (Vec<Change>, Self) {
        let nothing = Self {
            at: now,
            version: 0,
            changed_at: now,
            from: Timestamp::default(),
            others: 0,
            followed: listed.messages.iter().map(|id| followed(id, State::Ended(now))).collect(),
            progress: None,
        };
        let listed = Listed::default();
        nothing.advance(&Present { conversation, listed: &listed, messages: &[], now })
    }

    /// The moment from which the list of messages is read. An entry of the list may be late.
    pub fn list_from(&self) -> Timestamp {
        late_from(self.at).max(self.from)
    }

    /// Whether the list of messages can have entries that the caller has not seen.
    pub fn needs_list(&self, conversation: Option<&Conversation>, now: Timestamp) -> bool {
        version_of(conversation) != self.version || now < self.changed_at + MAX_REPLICATION_LAG
    }

    /// The messages that must be read to know what has changed.
    pub fn wanted(&self, conversation: Option<&Conversation>, listed: &Listed) -> Vec<MessageId> {
        let open = open(conversation);
        let is_open = |id: &MessageId| open.iter().any(|open| open.entry.message == *id);
        let followed = self.followed.iter().filter(|followed| match followed.state {
            State::Queued(_) | State::Processing(_) => !is_open(&followed.message),
            State::Delivering => true,
            State::Ended(_) => false,
        });
        let new = listed.messages.iter().filter(|id| self.state_of(id).is_none() && !is_open(id));
        followed.map(|followed| &followed.message).chain(new).cloned().collect()
    }

    /// Returns what has changed, and what the caller has seen after it.
    pub fn advance(&self, present: &Present<'_>) -> (Vec<Change>, Self) {
        let (conversation, now) = (present.conversation, present.now);
        if present.listed.more {
            let ended = Listed { messages: present.listed.messages.clone(), more: false };
            let (mut changes, seen) = Self::first(conversation, &ended, now);
            changes.insert(0, Change::Resync { at: now });
            return (changes, Self { from: now, ..seen });
        }
        let open = open(conversation);
        let (mut changes, mut closed) = self.closed(present, &open);
        let mut others = 0;
        for open in &open {
            let before = self.state_of(&open.entry.message);
            let is_listed = present.listed.messages.contains(&open.entry.message);
            let is_other = before.is_none() && !is_listed && self.others > 0;
            others += usize::from(is_other);
            let is_running = matches!(open.state, State::Processing(_));
            if before != Some(open.state) && (!is_other || is_running) {
                changes.push(Change::Status(open.change(now)));
            }
            if is_running {
                changes.extend(self.draft(
                    conversation,
                    &open.entry.message,
                    before == Some(open.state),
                    now,
                ));
            }
        }
        if others < self.others {
            changes.push(Change::Resync { at: now });
        }
        closed.retain(|closed| !open.iter().any(|open| open.entry.message == closed.message));
        let version = version_of(conversation);
        let kept = kept(&open, closed, now);
        let seen = Self {
            at: now,
            version,
            changed_at: if version == self.version { self.changed_at } else { now },
            from: self.from,
            others: open.len().saturating_sub(kept.iter().filter(|kept| kept.is_open()).count()),
            followed: kept,
            progress: progress_of(conversation).map(str::to_owned),
        };
        (changes, seen)
    }

    /// The changes of messages that have ended, and all followed messages that are not open.
    fn closed(&self, present: &Present<'_>, open: &[Open<'_>]) -> (Vec<Change>, Vec<Followed>) {
        let is_open = |id: &MessageId| open.iter().any(|open| open.entry.message == *id);
        let (mut changes, mut closed) = (Vec::new(), Vec::new());
        let mut read: Vec<&Message> = present.messages.iter().collect();
        read.sort_by_key(|message| message.finished_at);
        for message in read.into_iter().filter(|message| !is_open(&message.id)) {
            let before = self.state_of(&message.id);
            if message.status == MessageStatus::Queued {
                // It was read at another moment than the conversation. The next look decides.
                closed.extend(before.map(|state| followed(&message.id, state)));
                continue;
            }
            if before != Some(State::Delivering) {
                changes.push(Change::Status(ended(message, present.now)));
            }
            let delivery = message.delivery.as_ref();
            let waits = delivery.is_some_and(|delivery| delivery.state == DeliveryState::Waiting);
            if let Some(delivery) = delivery.filter(|_| !waits) {
                let (message, delivery) = (message.id.clone(), delivery.clone());
                changes.push(Change::Delivery { message, delivery, at: present.now });
            }
            let state = if waits { State::Delivering } else { State::Ended(present.now) };
            closed.push(followed(&message.id, state));
        }
        let unread = |id: &MessageId| !present.messages.iter().any(|message| message.id == *id);
        let ended = self.followed.iter().filter(|f| matches!(f.state, State::Ended(_)) && unread(&f.message));
        closed.extend(ended.cloned());
        (changes, closed)
    }

    /// The progress of the running message, if the caller has not seen it.
    fn draft(
        &self,
        conversation: Option<&Conversation>,
        message: &MessageId,
        is_same_run: bool,
        now: Timestamp,
    ) -> Option<Change> {
        let text = progress_of(conversation)?;
        let is_seen = is_same_run && self.progress.as_deref() == Some(text);
        (!is_seen).then(|| Change::Draft { message: message.clone(), text: text.to_owned(), at: now })
    }

    fn state_of(&self, message: &MessageId) -> Option<State> {
        self.followed.iter().find(|followed| followed.message == *message).map(|followed| followed.state)
    }
}

fn followed(message: &MessageId, state: State) -> Followed {
    Followed { message: message.clone(), state }
}

/// The messages to follow: replies on their way, then open messages in their order, then those that have just ended.
fn kept(open: &[Open<'_>], closed: Vec<Followed>, now: Timestamp) -> Vec<Followed> {
    let (delivering, mut ended): (Vec<_>, Vec<_>) =
        closed.into_iter().partition(|closed| !matches!(closed.state, State::Ended(_)));
    ended.retain(|ended| match ended.state {
        State::Ended(at) => now < at + MAX_REPLICATION_LAG,
        _ => false,
    });
    let open = open.iter().map(|open| followed(&open.entry.message, open.state));
    let mut bytes = 0;
    let fits = |followed: &Followed| {
        bytes += followed.to_string().len() + 1;
        bytes <= MAX_FOLLOWED_BYTES
    };
    delivering.into_iter().chain(open).chain(ended).take_while(fits).collect()
}

fn ended(message: &Message, now: Timestamp) -> StatusChange {
    let is_done = message.status == MessageStatus::Done;
    StatusChange {
        message: message.id.clone(),
        status: message.status.as_str(),
        attempts: message.attempts,
        at: message.finished_at.unwrap_or(now),
        scheduled_for: None,
        error: message.last_error.clone().filter(|_| !is_done),
        reply: message.reply.as_ref().map(|reply| reply.text.clone()),
    }
}

impl Open<'_> {
    fn change(&self, now: Timestamp) -> StatusChange {
        let (status, attempts) = match self.state {
            State::Processing(attempts) => ("processing", attempts),
            _ => ("queued", self.entry.attempts_counted()),
        };
        let waits = status == "queued" && self.entry.waits_until() > now;
        StatusChange {
            message: self.entry.message.clone(),
            status,
            attempts,
            at: self.since.unwrap_or(now),
            scheduled_for: waits.then(|| self.entry.waits_until()),
            error: None,
            reply: None,
        }
    }
}

impl Followed {
    const fn is_open(&self) -> bool {
        matches!(self.state, State::Queued(_) | State::Processing(_))
    }
}

#[cfg(test)]
mod tests;
