//! The reads of a consistency check: a conversation with its partition in the ready index, the states of
//! messages, and a scan over all conversations.

use std::collections::BTreeMap;

use af_domain::conversation::Conversation;
use af_domain::ids::{ConversationKey, MessageId};
use af_domain::message::MessageStatus;
use aws_sdk_dynamodb::types::AttributeValue;

use super::item::conversation_from;
use crate::expression::names_in;
use crate::item::{Item, Reader, Value};
use crate::keys::Key;
use crate::{Result, Store, StoreError, keys};

/// The filter for conversations that must be checked: they have work, a lease, an owner or a ready key, or
/// they lack a partition in the ready index, without which their next message would not be found. All other
/// conversations are idle and consistent.
const MAY_BE_MALFORMED: &str = "begins_with(#pk, :conversations) AND #sk = :meta AND (attribute_exists(#ow) OR \
    attribute_exists(#ls) OR attribute_exists(#rk) OR attribute_not_exists(#rp) OR size(#pe) > :none)";

/// A conversation as it is stored, with its index partition.
#[derive(Clone, Debug)]
pub struct StoredConversation {
    /// The conversation.
    pub conversation: Conversation,
    /// The partition in the ready index.
    pub partition: Option<String>,
}

impl StoredConversation {
    /// Whether the partition is one of the `shards` partitions that workers read.
    pub fn is_in_shards(&self, shards: u64) -> bool {
        let partition = self.partition.as_deref();
        (0..shards).any(|shard| partition == Some(keys::ready_shard(shard).as_str()))
    }
}

/// A conversation that a scan found.
#[derive(Debug)]
pub struct ScannedConversation {
    /// The conversation id, or the partition key if the item contains no id.
    pub name: String,
    /// The stored conversation, or an error if it cannot be parsed.
    pub stored: Result<StoredConversation>,
}

/// One page of a scan over all conversations.
#[derive(Debug)]
pub struct ScanPage {
    /// The conversations that may be malformed.
    pub conversations: Vec<ScannedConversation>,
    /// The start of the next page; `None` at the end.
    pub next: Option<Key>,
}

impl Store {
    /// Returns the conversation in this partition with its index partition, strongly consistent.
    pub async fn stored_conversation(&self, key: &ConversationKey) -> Result<Option<StoredConversation>> {
        let item = self.get(keys::conversation(key), true).await?;
        item.as_ref().map(stored_from).transpose()
    }

    /// Returns the states of the messages that exist, strongly consistent.
    pub async fn message_states(&self, messages: &[MessageId]) -> Result<BTreeMap<MessageId, MessageStatus>> {
        let mut states = BTreeMap::new();
        for item in self.batch_get(messages.iter().map(keys::message), true).await? {
            let reader = Reader::of(&item);
            let state = MessageStatus::parse(reader.text("st")?)
                .ok_or_else(|| reader.malformed("st", "not a status"))?;
            states.insert(reader.id_after("M#", "pk", MessageId::parse)?, state);
        }
        Ok(states)
    }

    /// Scans one page of the whole table. It reads `items` items of any kind and returns the conversations
    /// among them that may be malformed. The read is eventually consistent. Only operator calls use it,
    /// because it is billed for all items that it reads.
    pub async fn scan_conversations(&self, items: i32, from: Option<&Key>) -> Result<ScanPage> {
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
        let scanned = |item: &Item| {
            let part = |name| item.get(name).and_then(|v: &AttributeValue| v.as_s().ok()).cloned();
            ScannedConversation {
                name: part("cid").or_else(|| part("pk")).unwrap_or_default(),
                stored: stored_from(item),
            }
        };
        Ok(ScanPage { conversations: answer.items().iter().map(scanned).collect(), next })
    }
}

fn key_of(item: &Item) -> Result<Key> {
    let reader = Reader::of(item);
    Ok(Key { pk: reader.text("pk")?.to_owned(), sk: reader.text("sk")?.to_owned() })
}

fn stored_from(item: &Item) -> Result<StoredConversation> {
    let partition = Reader::of(item).text_if("rp")?.map(str::to_owned);
    Ok(StoredConversation { conversation: conversation_from(item)?, partition })
}
