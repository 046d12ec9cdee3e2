//! Reads of a conversation together with some of its messages, in one batch.

use af_domain::conversation::Conversation;
use af_domain::ids::{ConversationKey, MessageId};
use af_domain::message::{Message, MessageStatus, PendingToolCall};
use af_domain::time::Timestamp;

use super::history::tool_calls_from;
use super::item::conversation_from;
use crate::item::Reader;
use crate::message::message_from;
use crate::write::queried;
use crate::{Page, Result, Store, keys};

/// A conversation with some of its messages.
#[derive(Debug, Default)]
pub struct WithMessages {
    /// The conversation, if it exists.
    pub conversation: Option<Conversation>,
    /// The tool calls of the agent that have no result yet.
    pub pending_tool_calls: Vec<PendingToolCall>,
    /// The messages that exist and have not expired, in the order of the ids and without large payloads.
    pub messages: Vec<Message>,
}

/// How many entries and messages a conversation has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConversationFigures {
    /// Entries of the history that belong to the context.
    pub history: u64,
    /// Messages that wait.
    pub waiting: u64,
    /// Dead letters.
    pub dead_letters: u64,
}

impl Store {
    /// Returns the conversation in this partition, its pending tool calls and the messages of `ids`, eventually
    /// consistent, in one batch of at most 100 items.
    pub async fn conversation_with_messages(
        &self,
        key: &ConversationKey,
        ids: &[MessageId],
        now: Timestamp,
    ) -> Result<WithMessages> {
        let (meta, calls) = (keys::conversation(key), keys::pending_tool_calls(key));
        let wanted = [meta.clone(), calls.clone()].into_iter().chain(ids.iter().map(keys::message));
        let mut found = WithMessages::default();
        for item in &self.batch_get(wanted, false).await? {
            let reader = Reader::of(item);
            let (pk, sk) = (reader.text("pk")?, reader.text("sk")?);
            if (pk, sk) == (meta.pk.as_str(), meta.sk.as_str()) {
                found.conversation = Some(conversation_from(item)?);
            } else if sk == calls.sk {
                found.pending_tool_calls = tool_calls_from(&reader)?;
            } else if !reader.is_expired(now)? {
                found.messages.push(message_from(item, None)?);
            }
        }
        found.messages.sort_by_key(|message| ids.iter().position(|id| *id == message.id));
        Ok(found)
    }

    /// Returns the messages of a conversation that were accepted at `from` or later, the oldest first. The read is
    /// eventually consistent. `next` tells whether there are more.
    pub async fn messages_since(
        &self,
        key: &ConversationKey,
        from: Timestamp,
        limit: i32,
    ) -> Result<Page<MessageId, ()>> {
        let from = format!("{:013}", from.as_millis());
        let values = [(":lp", keys::messages_partition(key).into()), (":from", from.into())];
        let query = self.query("#lp = :lp AND #lk >= :from", values).index_name(keys::MESSAGES_INDEX);
        let answer = queried(query.limit(limit)).await?;
        let id = |item| Reader::of(item).id_after("M#", "pk", MessageId::parse);
        let items = answer.items().iter().map(id).collect::<Result<_, _>>()?;
        Ok(Page { items, next: answer.last_evaluated_key.map(drop) })
    }

    /// Returns the figures of a conversation, eventually consistent; zeros if there is none.
    pub async fn conversation_figures(&self, key: &ConversationKey) -> Result<ConversationFigures> {
        let Some(item) = self.get(keys::conversation(key), false).await? else {
            return Ok(ConversationFigures::default());
        };
        // A conversation from before the counters may have fewer than zero of what was not counted.
        let counter = |name: &str| {
            let number = item.get(name).and_then(|value| value.as_n().ok()?.parse::<i64>().ok());
            number.map_or(0, |number| u64::try_from(number).unwrap_or_default())
        };
        Ok(ConversationFigures {
            history: counter("hc"),
            dead_letters: counter("fa"),
            waiting: conversation_from(&item)?.queue.len() as u64,
        })
    }

    /// Returns the stored state of a message, eventually consistent; `None` if there is none.
    pub async fn message_status(&self, id: &MessageId) -> Result<Option<MessageStatus>> {
        let Some(item) = self.get(keys::message(id), false).await? else { return Ok(None) };
        let reader = Reader::of(&item);
        let status = MessageStatus::parse(reader.text("st")?);
        status.map(Some).ok_or_else(|| reader.malformed("st", "not a status"))
    }
}
