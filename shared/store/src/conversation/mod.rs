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
mod revise;
mod view;

pub use attach::Attach;
pub use complete::{CompleteWith, Completed};
pub use consistency::{ScanPage, ScannedConversation, StoredConversation};
pub use enqueue::{Enqueued, NewMessage};
pub use fail::FailOutcome;
pub use history::{Append, History, HistoryRange, ReadPosition};
pub use lease_ref::LeaseRef;
pub use view::{ConversationFigures, WithMessages};

pub use crate::write::Commit;

pub(crate) use enqueue::{EnqueuedWith, WRITES};
pub(crate) use item::{change, conversation_from, key_from, waits_for_a_time};
pub(crate) use owner::freed_meta;

use std::collections::{BTreeMap, HashMap};

use af_domain::conversation::{Conversation, ReadyKey};
use af_domain::ids::{ConversationKey, MessageId};
use af_domain::pool::ReadyConversation;
use af_domain::time::Timestamp;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::item::{Item, Reader};
use crate::table::Page;
use crate::write::queried;
use crate::{Result, Store, keys};

impl Store {
    /// Returns the conversation in this partition.
    pub async fn conversation(
        &self,
        key: &ConversationKey,
        consistent: bool,
    ) -> Result<Option<Conversation>> {
        let item = self.get(keys::conversation(key), consistent).await?;
        item.as_ref().map(conversation_from).transpose()
    }

    /// Returns the conversations in these partitions that exist and can be parsed, eventually consistent.
    pub async fn conversations(&self, wanted: &[ConversationKey]) -> Result<Vec<Conversation>> {
        Ok(self.conversations_each(wanted).await?.into_values().filter_map(Result::ok).collect())
    }

    /// Returns the conversations in these partitions that exist. A malformed item does not hide the others.
    pub async fn conversations_each(
        &self,
        wanted: &[ConversationKey],
    ) -> Result<BTreeMap<ConversationKey, Result<Conversation>>> {
        let mut found = BTreeMap::new();
        for item in self.batch_get(wanted.iter().map(keys::conversation), false).await? {
            found.insert(key_from(&Reader::of(&item))?, conversation_from(&item));
        }
        Ok(found)
    }

    /// Returns one page of a shard of the ready index: at most `limit` conversations without an owner whose
    /// work is due by `until`, ordered by priority and age, starting after `after`. The read is eventually
    /// consistent, so an entry may be out of date.
    pub async fn ready_page(
        &self,
        shard: u64,
        until: Timestamp,
        limit: i32,
        after: Option<ReadyCursor>,
    ) -> Result<Page<ReadyConversation, ReadyCursor>> {
        let horizon = keys::ready_horizon(until);
        let values = [(":rp", keys::ready_shard(shard).into()), (":until", horizon.into())];
        let query = self.query("#rp = :rp AND #rk < :until", values).index_name(keys::READY_INDEX);
        let answer = queried(query.limit(limit).set_exclusive_start_key(after.map(|c| c.0))).await?;
        let items = answer.items().iter().map(ready_from).collect::<Result<_>>()?;
        Ok(Page { items, next: answer.last_evaluated_key.map(ReadyCursor) })
    }

    /// Returns one page of the ids of a conversation's messages, the newest first. The cursor is the sort key
    /// of the last one.
    pub async fn message_ids_of(
        &self,
        key: &ConversationKey,
        limit: i32,
        before: Option<&str>,
    ) -> Result<Page<MessageId, String>> {
        let page = self.listed_before(keys::messages_partition(key), before, limit).await?;
        let id = |item| Reader::of(item).id_after("M#", "pk", MessageId::parse);
        let items = page.items.iter().map(id).collect::<Result<_, _>>()?;
        Ok(Page { items, next: page.next })
    }
}

fn ready_from(item: &Item) -> Result<ReadyConversation> {
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
