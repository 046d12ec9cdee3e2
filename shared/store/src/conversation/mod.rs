//! The conversation's meta item, the one commit point of the queue.
//!
//! `processing` is derived from its lease, so a claim never writes the message. Operations that read first
//! commit on the version they read (`commit`); those that must not read (enqueue, heartbeat, complete, append)
//! carry their whole condition.

mod attach;
mod audit;
mod claim;
mod enqueue;
mod history;
mod item;
mod operator;
mod owner;
mod repair;
mod settle;

pub use attach::Attach;
pub use audit::{Passed, Stored, Walked};
pub use enqueue::{Enqueued, NewMessage};
pub use history::{Append, Before, History, Stretch};
pub use settle::{CompleteWith, Completed, GiveBack};

pub(crate) use item::{change, conversation_from, key_from, waits_for_a_time};
pub(crate) use owner::{as_commit, freed_meta};

use std::collections::{BTreeMap, HashMap};

use af_domain::conversation::{Conversation, Lease, ReadyKey};
use af_domain::ids::{ConversationKey, LeaseId, MessageId, WorkerId};
use af_domain::pool::ReadyConversation;
use af_domain::time::Timestamp;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};

use crate::expression::Update;
use crate::item::{Item, Reader, Value};
use crate::{Store, StoreError, keys};

/// What became of a write that was decided on a version read before.
#[derive(Debug)]
pub enum Commit {
    /// Carried out.
    Done,
    /// Somebody was faster: nothing was written.
    Stale,
}

/// A lease as a worker names it in a call. Every part that the call names must match the lease in force.
#[derive(Debug, Clone, Copy)]
pub struct LeaseRef<'a> {
    /// The lease.
    pub lease: &'a LeaseId,
    /// Its message, where the call names one.
    pub message: Option<&'a MessageId>,
    /// The worker that calls.
    pub worker: &'a WorkerId,
}

impl LeaseRef<'_> {
    /// Whether every part matches `lease`.
    fn is_of(&self, lease: &Lease) -> bool {
        &lease.id == self.lease
            && &lease.worker == self.worker
            && self.message.is_none_or(|message| message == &lease.entry.message)
    }

    fn require(&self, update: Update) -> Update {
        let update = update
            .when("#ls.#l = :lease AND #ls.#w = :worker")
            .bind(":lease", self.lease.as_str())
            .bind(":worker", self.worker.as_str());
        match self.message {
            Some(message) => update.when("#ls.#m = :message").bind(":message", message.as_str()),
            None => update,
        }
    }
}

/// Keys that one BatchGetItem takes.
pub(crate) const BATCH_GET_KEYS_MAX: usize = 100;
/// Sendings of a batch read whose answer came back short; DynamoDB leaves keys out when it throttles.
const BATCH_GET_TRIES_MAX: usize = 5;

impl Store {
    /// The conversation in this partition.
    ///
    /// # Errors
    /// When the table cannot answer, or the item is malformed.
    pub async fn conversation(
        &self,
        key: &ConversationKey,
        consistent: bool,
    ) -> Result<Option<Conversation>, StoreError> {
        let item = self.get(keys::conversation(key), consistent).await?;
        item.as_ref().map(conversation_from).transpose()
    }

    /// The conversations in these partitions, those that exist and can be read; eventually consistent.
    ///
    /// # Errors
    /// When the table cannot answer.
    pub async fn conversations(&self, wanted: &[ConversationKey]) -> Result<Vec<Conversation>, StoreError> {
        Ok(self.conversations_each(wanted).await?.into_values().filter_map(Result::ok).collect())
    }

    /// The conversations in these partitions, those that exist; an item that is malformed does not hide the others.
    ///
    /// # Errors
    /// When the table cannot answer.
    pub async fn conversations_each(
        &self,
        wanted: &[ConversationKey],
    ) -> Result<BTreeMap<ConversationKey, Result<Conversation, StoreError>>, StoreError> {
        let mut found = BTreeMap::new();
        for batch in wanted.chunks(BATCH_GET_KEYS_MAX) {
            let batch = batch.iter().map(|k| keys::conversation(k).attributes()).collect();
            for item in self.batch_get(batch).await? {
                found.insert(key_from(&Reader::of(&item))?, conversation_from(&item));
            }
        }
        Ok(found)
    }

    pub(crate) async fn batch_get(&self, wanted: Vec<Item>) -> Result<Vec<Item>, StoreError> {
        self.batch(wanted, false).await
    }

    /// The same, strongly consistent.
    pub(crate) async fn batch_get_now(&self, wanted: Vec<Item>) -> Result<Vec<Item>, StoreError> {
        self.batch(wanted, true).await
    }

    async fn batch(&self, mut wanted: Vec<Item>, consistent: bool) -> Result<Vec<Item>, StoreError> {
        const OPERATION: &str = "BatchGetItem";
        // DynamoDB refuses a batch that names an item twice, as two rows do that name one conversation.
        let mut seen = Vec::with_capacity(wanted.len());
        wanted.retain(|key| {
            !seen.contains(key) && {
                seen.push(key.clone());
                true
            }
        });
        let mut found = Vec::with_capacity(wanted.len());
        for _ in 0..BATCH_GET_TRIES_MAX {
            let request =
                KeysAndAttributes::builder().set_keys(Some(wanted)).consistent_read(consistent).build();
            let request = request.map_err(|e| StoreError::malformed(OPERATION, e.to_string()))?;
            let sent = self.client.batch_get_item().request_items(&self.table, request).send().await;
            let mut answer = sent.map_err(|e| StoreError::from_sdk(OPERATION, &e))?;
            let items = answer.responses.as_mut().and_then(|r| r.remove(&self.table));
            found.extend(items.unwrap_or_default());
            let rest = answer.unprocessed_keys.as_mut().and_then(|r| r.remove(&self.table));
            wanted = rest.map(|r| r.keys).unwrap_or_default();
            if wanted.is_empty() {
                return Ok(found);
            }
        }
        Err(StoreError::Throttled { operation: OPERATION })
    }

    /// One page of a shard of the ready index: conversations with work due by `until` that nobody owns, by
    /// priority and age, at most `limit`, starting after `after`. Eventually consistent: an entry may be out of
    /// date.
    ///
    /// # Errors
    /// When the table cannot answer.
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

    /// The ids of a conversation's messages, newest first, one page; the cursor is the place of the last one.
    ///
    /// # Errors
    /// When the table cannot answer, or an item is malformed.
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

/// Where a page of the ready index ended.
#[derive(Debug, Clone)]
pub struct ReadyCursor(HashMap<String, AttributeValue>);

impl ReadyCursor {
    /// The place of `entry` in partition number `shard`, whether it still stands there or not.
    pub fn at(shard: u64, entry: &ReadyConversation) -> Self {
        let mut place = keys::conversation(&entry.key).attributes();
        place.insert("rp".to_owned(), AttributeValue::S(keys::ready_shard(shard)));
        place.insert("rk".to_owned(), AttributeValue::S(entry.ready.as_str().to_owned()));
        Self(place)
    }
}
