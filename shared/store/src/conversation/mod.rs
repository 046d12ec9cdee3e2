//! The meta item of a conversation, which is the single commit point of the queue.
//!
//! `processing` is derived from the lease, so a claim never writes the message. Operations that read first
//! commit on condition of the version they read (`change`). Operations that do not read first (enqueue,
//! heartbeat, complete, append) contain their full condition.

mod attach;
mod claim;
mod complete;
mod consistency;
mod enqueue;
mod fail;
mod history;
mod item;
mod lease_ref;
mod operator;
mod owner;
mod repair;

pub use attach::Attach;
pub use complete::{CompleteWith, Completed};
pub use consistency::{ScanPage, ScannedConversation, StoredConversation};
pub use enqueue::{Enqueued, NewMessage};
pub use fail::FailOutcome;
pub use history::{Append, History, HistoryRange, ReadPosition};
pub use lease_ref::LeaseRef;

pub use crate::write::Commit;

pub(crate) use item::{change, conversation_from, key_from, waits_for_a_time};
pub(crate) use owner::freed_meta;

use std::collections::{BTreeMap, HashMap};

use af_domain::conversation::{Conversation, ReadyKey};
use af_domain::ids::{ConversationKey, MessageId};
use af_domain::pool::ReadyConversation;
use af_domain::time::Timestamp;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::batch::MAX_BATCH_GET_KEYS;
use crate::item::{Item, Reader, Value};
use crate::{Store, StoreError, keys};

impl Store {
    /// Returns the conversation in this partition.
    ///
    /// # Errors
    /// Returns an error if the table does not answer or the item is malformed.
    pub async fn conversation(
        &self,
        key: &ConversationKey,
        consistent: bool,
    ) -> Result<Option<Conversation>, StoreError> {
        let item = self.get(keys::conversation(key), consistent).await?;
        item.as_ref().map(conversation_from).transpose()
    }

    /// Returns those of the conversations in these partitions that exist and can be parsed, eventually
    /// consistent.
    ///
    /// # Errors
    /// Returns an error if the table does not answer.
    pub async fn conversations(&self, wanted: &[ConversationKey]) -> Result<Vec<Conversation>, StoreError> {
        Ok(self.conversations_each(wanted).await?.into_values().filter_map(Result::ok).collect())
    }

    /// Returns the conversations in these partitions that exist. A malformed item does not hide the others.
    ///
    /// # Errors
    /// Returns an error if the table does not answer.
    pub async fn conversations_each(
        &self,
        wanted: &[ConversationKey],
    ) -> Result<BTreeMap<ConversationKey, Result<Conversation, StoreError>>, StoreError> {
        let mut found = BTreeMap::new();
        for batch in wanted.chunks(MAX_BATCH_GET_KEYS) {
            let batch = batch.iter().map(|k| keys::conversation(k).attributes()).collect();
            for item in self.batch_get(batch).await? {
                found.insert(key_from(&Reader::of(&item))?, conversation_from(&item));
            }
        }
        Ok(found)
    }

    /// Returns one page of a shard of the ready index: at most `limit` conversations without an owner whose
    /// work is due by `until`, ordered by priority and age, starting after `after`. The read is eventually
    /// consistent, so an entry may be out of date.
    ///
    /// # Errors
    /// Returns an error if the table does not answer.
    pub async fn ready_page(
        &self,
        shard: u64,
        until: Timestamp,
        limit: i32,
        after: Option<ReadyCursor>,
    ) -> Result<(Vec<ReadyConversation>, Option<ReadyCursor>), StoreError> {
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(keys::READY_INDEX)
            .key_condition_expression("#rp = :rp AND #rk < :until")
            .set_expression_attribute_names(Some(crate::expression::names_in("#rp #rk")))
            .expression_attribute_values(":rp", Value::from(keys::ready_shard(shard)).0)
            .expression_attribute_values(":until", Value::from(keys::ready_horizon(until)).0)
            .limit(limit)
            .set_exclusive_start_key(after.map(|c| c.0))
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("Query", &e))?;
        let found = answer.items().iter().map(ready_from).collect::<Result<_, StoreError>>()?;
        Ok((found, answer.last_evaluated_key.map(ReadyCursor)))
    }

    /// Returns one page of the ids of a conversation's messages, the newest first. The cursor is the sort key
    /// of the last one.
    ///
    /// # Errors
    /// Returns an error if the table does not answer or an item is malformed.
    pub async fn message_ids_of(
        &self,
        key: &ConversationKey,
        limit: i32,
        before: Option<&str>,
    ) -> Result<(Vec<MessageId>, Option<String>), StoreError> {
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(keys::MESSAGES_INDEX)
            .key_condition_expression("#lp = :lp AND #lk < :before")
            .set_expression_attribute_names(Some(crate::expression::names_in("#lp #lk")))
            .expression_attribute_values(":lp", Value::from(keys::messages_partition(key)).0)
            .expression_attribute_values(":before", Value::from(before.unwrap_or("~")).0)
            .scan_index_forward(false)
            .limit(limit)
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("Query", &e))?;
        let mut last = None;
        let mut ids = Vec::new();
        for item in answer.items() {
            let reader = Reader::of(item);
            let id = reader.text("pk")?.trim_start_matches("M#").to_owned();
            ids.push(MessageId::parse(id).map_err(|e| reader.malformed("pk", &e.to_string()))?);
            last = Some(reader.text("lk")?.to_owned());
        }
        Ok((ids, last.filter(|_| answer.last_evaluated_key.is_some())))
    }
}

fn ready_from(item: &Item) -> Result<ReadyConversation, StoreError> {
    let reader = Reader::of(item);
    Ok(ReadyConversation {
        key: key_from(&reader)?,
        ready: ReadyKey::from_stored(reader.text("rk")?.to_owned()),
    })
}

/// The position after a page of the ready index.
#[derive(Debug, Clone)]
pub struct ReadyCursor(HashMap<String, AttributeValue>);

impl ReadyCursor {
    /// The position of `entry` in partition number `shard`, even if it is no longer there.
    pub fn at(shard: u64, entry: &ReadyConversation) -> Self {
        let mut place = keys::conversation(&entry.key).attributes();
        place.insert("rp".to_owned(), AttributeValue::S(keys::ready_shard(shard)));
        place.insert("rk".to_owned(), AttributeValue::S(entry.ready.as_str().to_owned()));
        Self(place)
    }
}
