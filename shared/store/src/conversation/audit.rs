//! What an audit reads: a conversation with its place in the ready index, the states of messages, and all
//! conversations page by page.

use std::collections::BTreeMap;

use af_domain::conversation::Conversation;
use af_domain::ids::{ConversationKey, MessageId};
use af_domain::message::MessageStatus;
use aws_sdk_dynamodb::types::AttributeValue;

use super::MAX_BATCH_GET_KEYS;
use super::item::conversation_from;
use crate::expression::names_in;
use crate::item::{Item, Reader, Value};
use crate::keys::Key;
use crate::{Store, StoreError, keys};

/// What a conversation must have to be looked at: work, a lease, an owner or a ready key, or no partition of the ready
/// index, without which the next message would not be found. All others are at rest and as they should be.
const MAY_BE_MALFORMED: &str = "begins_with(#pk, :conversations) AND #sk = :meta AND (attribute_exists(#ow) OR \
    attribute_exists(#ls) OR attribute_exists(#rk) OR attribute_not_exists(#rp) OR size(#pe) > :none)";

/// A conversation as it is stored, with what an audit needs besides.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The conversation.
    pub conversation: Conversation,
    /// Its partition of the ready index.
    pub partition: Option<String>,
}

impl Stored {
    /// Whether its partition is one of `shards` that are read.
    pub fn is_listed(&self, shards: u64) -> bool {
        let partition = self.partition.as_deref();
        (0..shards).any(|shard| partition == Some(keys::ready_shard(shard).as_str()))
    }
}

/// A conversation that a walk came by.
#[derive(Debug)]
pub struct Passed {
    /// Its id, or its partition where the item does not say.
    pub name: String,
    /// What is stored; an error when it cannot be read.
    pub stored: Result<Stored, StoreError>,
}

/// One page of a walk over all conversations.
#[derive(Debug)]
pub struct Walked {
    /// Those that may be malformed.
    pub passed: Vec<Passed>,
    /// Where the next page begins; none at the end.
    pub next: Option<Key>,
}

impl Store {
    /// The conversation in this partition with its place in the ready index, strongly consistent.
    ///
    /// # Errors
    /// When the table cannot answer, or the item is malformed.
    pub async fn stored(&self, key: &ConversationKey) -> Result<Option<Stored>, StoreError> {
        let item = self.get(keys::conversation(key), true).await?;
        item.as_ref().map(stored_from).transpose()
    }

    /// The states of these messages, those that exist, strongly consistent.
    ///
    /// # Errors
    /// When the table cannot answer, or an item is malformed.
    pub async fn message_states(
        &self,
        messages: &[MessageId],
    ) -> Result<BTreeMap<MessageId, MessageStatus>, StoreError> {
        let mut states = BTreeMap::new();
        for batch in messages.chunks(MAX_BATCH_GET_KEYS) {
            let batch = batch.iter().map(|id| keys::message(id).attributes()).collect();
            for item in self.batch_get_now(batch).await? {
                let reader = Reader::of(&item);
                let id = reader.text("pk")?.trim_start_matches("M#").to_owned();
                let id = MessageId::parse(id).map_err(|e| reader.malformed("pk", &e.to_string()))?;
                let state = MessageStatus::parse(reader.text("st")?)
                    .ok_or_else(|| reader.malformed("st", "not a status"))?;
                states.insert(id, state);
            }
        }
        Ok(states)
    }

    /// One page of a walk over the whole table, which reads `items` items whatever they are and returns the
    /// conversations among them that may be malformed; eventually consistent. Only for an operator's call: it costs
    /// what it reads, not what it finds.
    ///
    /// # Errors
    /// When the table cannot answer.
    pub async fn walk(&self, items: i32, from: Option<&Key>) -> Result<Walked, StoreError> {
        let answer = self
            .client
            .scan()
            .table_name(&self.table)
            .filter_expression(MAY_BE_MALFORMED)
            .set_expression_attribute_names(Some(names_in(MAY_BE_MALFORMED)))
            .expression_attribute_values(":conversations", Value::from(keys::CONVERSATIONS_PREFIX).0)
            .expression_attribute_values(":meta", Value::from(keys::ONLY).0)
            .expression_attribute_values(":none", Value::from(0_u64).0)
            .limit(items)
            .set_exclusive_start_key(from.map(Key::attributes))
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("Scan", &e))?;
        let next = answer.last_evaluated_key.as_ref().map(key_of).transpose()?;
        let pass = |item: &Item| {
            let part = |name| item.get(name).and_then(|v: &AttributeValue| v.as_s().ok()).cloned();
            Passed { name: part("cid").or_else(|| part("pk")).unwrap_or_default(), stored: stored_from(item) }
        };
        Ok(Walked { passed: answer.items().iter().map(pass).collect(), next })
    }
}

fn key_of(item: &Item) -> Result<Key, StoreError> {
    let reader = Reader::of(item);
    Ok(Key { pk: reader.text("pk")?.to_owned(), sk: reader.text("sk")?.to_owned() })
}

fn stored_from(item: &Item) -> Result<Stored, StoreError> {
    let partition = Reader::of(item).text_if("rp")?.map(str::to_owned);
    Ok(Stored { conversation: conversation_from(item)?, partition })
}
