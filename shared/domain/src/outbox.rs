//! The outbox of a chat: replies and notices that wait for their delivery, in order.
//!
//! An outbox belongs to one chat of one bot, so that its messages are sent one at a time and no other chat waits for
//! them. A message of several parts is delivered part by part. Before a part is sent, the outbox notes that it *may* be
//! sent ([`Sending`]). When the sender dies, the note remains, and the part counts as uncertain: it is never sent again
//! without an operator.

use std::fmt;
use std::str::FromStr;

use crate::ids::{BotIdentity, ConsumerUserId, InvalidId, MessageId};
use crate::named_enum;
use crate::time::{Millis, Timestamp};

/// How long a sender may take for one part. It is longer than the timeout of a call to Telegram.
pub const SENDING_TIME: Millis = Millis::from_secs(30);
/// How long a message may wait for Telegram in all, before it counts as failed.
pub const MAX_WAIT: Millis = Millis::from_days(1);
/// Most messages that wait for one chat.
pub const MAX_ENTRIES: u64 = 200;

/// A chat, as one bot sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chat {
    /// The bot.
    pub bot: BotIdentity,
    /// The chat id. The ids of groups are negative.
    pub id: i64,
}

impl Chat {
    /// Parses the form `<botIdentity>:<chatId>`.
    pub fn parse(text: &str) -> Option<Self> {
        let (bot, id) = text.split_once(':')?;
        let chat = Self { bot: BotIdentity::parse(bot).ok()?, id: id.parse().ok()? };
        (chat.to_string() == text).then_some(chat)
    }
}

impl FromStr for Chat {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::parse(text)
            .ok_or(InvalidId { kind: "chat", rule: "a bot and a chat of it, as <botIdentity>:<chatId>" })
    }
}

impl fmt::Display for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.bot, self.id)
    }
}

/// What is delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The stored reply of this message.
    Reply(MessageId),
    /// A short text of the system.
    Notice(String),
}

/// One message to a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The identity of the entry, unique within its outbox.
    pub id: String,
    /// What is delivered.
    pub content: Content,
    /// The consumer user whom the message is for. It is sent only while the chat is theirs.
    pub user: Option<ConsumerUserId>,
    /// The forum topic of the message.
    pub topic: Option<i64>,
    /// The id that the chat has got while the entry was delivered.
    pub moved_to: Option<i64>,
    /// When the entry was put into the outbox.
    pub queued_at: Timestamp,
    /// The waits since the last part that was sent.
    pub waits: u32,
    /// What became of each part, in order; parts that are not sent yet are missing.
    pub parts: Vec<Part>,
}

/// What became of one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Telegram has it.
    Sent {
        /// Its id in the chat.
        message_id: i64,
    },
    /// Unknown: the answer of Telegram was lost.
    Uncertain,
    /// Telegram refused it.
    Failed,
}

/// The note that a part may be sent at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sending {
    /// A random text that identifies the sender.
    pub sender: String,
    /// When the sender has given up, at the latest.
    pub until: Timestamp,
}

/// The outbox of one chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbox {
    /// The chat.
    pub chat: Chat,
    /// The messages that wait, in order. The first one is delivered.
    pub entries: Vec<Entry>,
    /// The part that may be sent at this moment: the one after `parts` of the first entry.
    pub sending: Option<Sending>,
    /// Until when nothing is sent, because Telegram asked to wait or does not answer.
    pub waits_until: Option<Timestamp>,
    /// When another sender looks after the outbox.
    pub due_at: Timestamp,
}

/// What an outbox allows at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing waits.
    Empty,
    /// Another sender is at work, or the outbox waits. Nothing may be sent before this time.
    Later(Timestamp),
    /// A sender has died: its part is uncertain.
    Interrupted,
    /// The next part of the first entry may be sent.
    Send,
}

impl Outbox {
    /// The entry that is delivered.
    pub fn head(&self) -> Option<&Entry> {
        self.entries.first()
    }

    /// What may be done at `now`.
    pub fn next(&self, now: Timestamp) -> Next {
        match (&self.sending, self.waits_until) {
            _ if self.entries.is_empty() => Next::Empty,
            (Some(sending), _) if sending.until > now => Next::Later(sending.until),
            (Some(_), _) => Next::Interrupted,
            (None, Some(until)) if until > now => Next::Later(until),
            (None, _) => Next::Send,
        }
    }

    /// The outbox after `sender` has begun to send the next part.
    #[must_use]
    pub fn sending_by(&self, sender: &str, now: Timestamp) -> Self {
        let until = now + SENDING_TIME;
        let sending = Some(Sending { sender: sender.to_owned(), until });
        Self { sending, waits_until: None, due_at: until, ..self.clone() }
    }

    /// The outbox after the part that was sent became `part`. The sender goes on at once.
    #[must_use]
    pub fn with_part(&self, part: Part, now: Timestamp) -> Self {
        let mut after = self.stopped(now);
        if let Some(head) = after.entries.first_mut() {
            head.parts.push(part);
            head.waits = 0;
        }
        after
    }

    /// The outbox after the part was not sent and must wait for `wait`.
    #[must_use]
    pub fn waiting(&self, wait: Millis, now: Timestamp) -> Self {
        let mut after = self.stopped(now + wait);
        after.waits_until = Some(now + wait);
        if let Some(head) = after.entries.first_mut() {
            head.waits = head.waits.saturating_add(1);
        }
        after
    }

    /// The outbox after its chat has got another id, and nothing was sent.
    #[must_use]
    pub fn moved_to(&self, chat: i64, now: Timestamp) -> Self {
        let mut after = self.stopped(now);
        if let Some(head) = after.entries.first_mut() {
            head.moved_to = Some(chat);
        }
        after
    }

    fn stopped(&self, due_at: Timestamp) -> Self {
        Self { sending: None, waits_until: None, due_at, ..self.clone() }
    }
}

named_enum! {
    /// The state of a delivery.
    pub enum DeliveryState {
        /// It is in the outbox.
        Waiting = "waiting",
        /// Every part has arrived.
        Sent = "sent",
        /// Telegram's answer to a part was lost, so the part may have arrived or not.
        Uncertain = "uncertain",
        /// A part was refused.
        Failed = "failed",
        /// The chat is no longer that of the user whom the message is for.
        Cancelled = "cancelled",
        /// An operator has removed it from the outbox.
        Dropped = "dropped",
    }
}

/// What became of the reply of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The state.
    pub state: DeliveryState,
    /// The chat.
    pub chat: Chat,
    /// Why the reply did not arrive.
    pub reason: Option<String>,
    /// The parts that were sent or tried, in order.
    pub parts: Vec<Part>,
}

impl Delivery {
    /// A delivery that waits in the outbox of `chat`.
    pub const fn waiting(chat: Chat) -> Self {
        Self { state: DeliveryState::Waiting, chat, reason: None, parts: Vec::new() }
    }

    /// What became of `entry`, all of whose parts were sent or tried.
    pub fn ended(chat: &Chat, entry: &Entry) -> Self {
        let state = match () {
            () if entry.parts.contains(&Part::Failed) => DeliveryState::Failed,
            () if entry.parts.contains(&Part::Uncertain) => DeliveryState::Uncertain,
            () => DeliveryState::Sent,
        };
        Self { state, chat: chat.clone(), reason: None, parts: entry.parts.clone() }
    }

    /// The end of `entry` in `state`, for this reason. Its remaining parts are not sent.
    pub fn given_up(chat: &Chat, entry: &Entry, state: DeliveryState, reason: String) -> Self {
        Self { state, chat: chat.clone(), reason: Some(reason), parts: entry.parts.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn outbox() -> Outbox {
        let entry = Entry {
            id: "m".into(),
            content: Content::Notice("hi".into()),
            user: None,
            topic: None,
            moved_to: None,
            queued_at: NOW,
            waits: 0,
            parts: Vec::new(),
        };
        let chat = Chat::parse("7:-100").unwrap();
        Outbox { chat, entries: vec![entry], sending: None, waits_until: None, due_at: NOW }
    }

    #[test]
    fn a_part_is_sent_by_one_sender_and_uncertain_when_that_sender_dies() {
        let sending = outbox().sending_by("a", NOW);
        assert_eq!(sending.next(NOW), Next::Later(NOW + SENDING_TIME));
        assert_eq!(sending.due_at, NOW + SENDING_TIME);
        assert_eq!(sending.next(NOW + SENDING_TIME), Next::Interrupted);
        let after = sending.with_part(Part::Uncertain, NOW);
        assert_eq!((after.next(NOW), &after.entries[0].parts[..]), (Next::Send, &[Part::Uncertain][..]));
        assert_eq!(Delivery::ended(&after.chat, &after.entries[0]).state, DeliveryState::Uncertain);
    }

    #[test]
    fn nothing_is_sent_before_the_wait_is_over() {
        let waiting = outbox().sending_by("a", NOW).waiting(Millis::from_secs(300), NOW);
        assert_eq!(waiting.next(NOW), Next::Later(NOW + Millis::from_secs(300)));
        assert_eq!(waiting.next(NOW + Millis::from_secs(300)), Next::Send);
        assert_eq!((waiting.entries[0].waits, waiting.due_at), (1, NOW + Millis::from_secs(300)));
    }

    #[test]
    fn one_failed_part_is_a_failed_delivery() {
        let mut entry = outbox().entries.remove(0);
        entry.parts = vec![Part::Sent { message_id: 1 }, Part::Uncertain, Part::Failed];
        assert_eq!(Delivery::ended(&outbox().chat, &entry).state, DeliveryState::Failed);
        entry.parts = vec![];
        assert_eq!(Delivery::ended(&outbox().chat, &entry).state, DeliveryState::Sent);
    }

    #[test]
    fn a_chat_has_one_form() {
        assert_eq!(Chat::parse("7:-100").unwrap().to_string(), "7:-100");
        assert!(Chat::parse("7:007").is_none() && Chat::parse("7:+1").is_none());
        assert!(Chat::parse("7").is_none() && Chat::parse("x:1").is_none() && Chat::parse("7:y").is_none());
    }
}
