//! Enqueue: one transaction without a prior read.
//!
//! The message is put if it is absent (its id is the dedupe key), and the meta item takes the new entry. Whether
//! the ready key must change depends on what waits already, which is not read: one of two variants is guessed,
//! and the old item that a failed condition returns names the right one.

use std::cmp::Ordering;

use af_domain::conversation::{Conversation, Entry, OrderKey, Queue, ReadyKey};
use af_domain::ids::{AgentKey, ConversationId, ConversationKey, Fence};
use af_domain::policy::Policies;
use af_domain::time::Timestamp;

use super::item::{conversation_from, conversation_item, encode_entry};
use crate::expression::Update;
use crate::item::{Item, Reader};
use crate::message::MessageItem;
use crate::write::{Committed, Refusal};
use crate::{Store, StoreError, keys};

/// Variants tried before giving up. Each failed guess names the variant that was right a moment ago; only a
/// conversation that changes between every two sendings could use them all.
const MAX_TRIES: usize = 8;

/// A message to be enqueued, with the conversation it is for.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// The conversation.
    pub conversation: ConversationId,
    /// The agent the conversation must belong to.
    pub agent: AgentKey,
    /// The message's place in the queue.
    pub entry: Entry,
    /// The message's item.
    pub item: MessageItem,
}

/// What became of an enqueue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enqueued {
    /// It is accepted.
    New,
    /// A message with its id was accepted before.
    Duplicate {
        /// Whether that one had the same body.
        same_body: bool,
    },
    /// The conversation belongs to another agent; nothing was written.
    BoundToAnotherAgent(AgentKey),
    /// Too many messages wait in the conversation; nothing was written.
    QueueFull,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// What waits already comes first: the ready key stays.
    Keep,
    /// The new message comes first: the ready key is its own.
    Raise,
    /// The conversation does not exist.
    Create,
}

impl Store {
    /// Accepts a message, once.
    ///
    /// # Errors
    /// When the table cannot answer; the message may have been accepted all the same, and sending it again
    /// answers `Duplicate`.
    pub async fn enqueue_if_absent(
        &self,
        message: &NewMessage,
        now: Timestamp,
        policies: &Policies,
    ) -> Result<Enqueued, StoreError> {
        let key = keys::conversation_key(&message.conversation);
        if let Some(payload) = message.item.separate_payload() {
            if let Some(refused) = self.foreseen(&key, message, now, policies).await? {
                return Ok(refused);
            }
            self.put(payload).await?;
        }
        let default = policies.queue.default_priority;
        let mut variant = match u64::from(message.entry.priority.get()).cmp(&default) {
            Ordering::Greater => Variant::Raise,
            Ordering::Less | Ordering::Equal => Variant::Keep,
        };
        for _ in 0..MAX_TRIES {
            let transaction = self.transaction().put_new_at(message.item.item(), now);
            let transaction = match variant {
                Variant::Keep | Variant::Raise => {
                    transaction.update(append(&key, message, variant, now, policies))
                }
                Variant::Create => {
                    let conversation = begin(&key, message, now, policies);
                    transaction.put_new(conversation_item(&conversation, policies.queue.ready_shards))
                }
            };
            let committed = self.commit(transaction).await?;
            if let Some(refused) = committed.refusal(0) {
                return Ok(Enqueued::Duplicate {
                    same_body: message.item.is_same_body(refused.old.as_ref())?,
                });
            }
            match committed {
                Committed::Done => return Ok(Enqueued::New),
                Committed::Refused(refusals) => {
                    match right_variant(refusals.first(), message, now, policies)? {
                        Ok(right) => variant = right,
                        Err(refused) => return Ok(refused),
                    }
                }
            }
        }
        Err(StoreError::Contention { operation: "enqueue" })
    }

    /// What the transaction would not accept, seen before a large payload is written outside of it: a refusal leaves
    /// nothing behind, unless it comes to be true in between.
    async fn foreseen(
        &self,
        key: &ConversationKey,
        message: &NewMessage,
        now: Timestamp,
        policies: &Policies,
    ) -> Result<Option<Enqueued>, StoreError> {
        let (same_id, meta) = tokio::join!(
            self.get(keys::message(message.item.id()), true),
            self.get(keys::conversation(key), true)
        );
        let kept = |old: &Item| Reader::of(old).is_expired(now).map(|expired| !expired);
        if let Some(old) = same_id?
            && kept(&old)?
        {
            return Ok(Some(Enqueued::Duplicate { same_body: message.item.is_same_body(Some(&old))? }));
        }
        match meta? {
            Some(meta) => Ok(variant_for(&conversation_from(&meta)?, message, now, policies).err()),
            None => Ok(None),
        }
    }
}

fn ready_key(entry: &Entry, now: Timestamp) -> ReadyKey {
    match entry.waits_until() {
        until if until > now => ReadyKey::at(until),
        _ => ReadyKey::due(entry.priority, entry.due),
    }
}

fn append(
    key: &ConversationKey,
    message: &NewMessage,
    variant: Variant,
    now: Timestamp,
    policies: &Policies,
) -> Update {
    let entry = &message.entry;
    let ready = ready_key(entry, now);
    let update = Update::of(keys::conversation(key))
        .set_to("pe", "list_append(#pe, :entry)")
        .set_to("v", "#v + :one")
        .bind(":entry", vec![encode_entry(entry)])
        .bind(":one", 1_u64)
        .when("#ag = :agent AND size(#pe) < :max")
        .bind(":agent", message.agent.as_str())
        .bind(":max", policies.queue.max_pending_per_conversation)
        .bind(":ready", ready.as_str())
        .bind(":order", OrderKey::of(entry.priority, entry.due).as_str());
    // One that waits for its attachments lets nobody pass who comes after it; what stands before it may.
    let holds_up = entry.awaits_attachments(now) && entry.due <= now;
    let update = match variant {
        Variant::Keep if holds_up => update.set_to("bo", "if_not_exists(#bo, :order)"),
        _ if holds_up => update.set_to("bo", ":order"),
        _ => update,
    };
    match variant {
        Variant::Keep => update
            .set_to("rk", "if_not_exists(#rk, :ready)")
            .when("attribute_not_exists(#rk) OR #rk <= :ready OR #bo <= :order"),
        Variant::Raise | Variant::Create => update
            .set_to("rk", ":ready")
            .when("attribute_exists(#rk) AND #rk > :ready")
            .when("attribute_not_exists(#bo) OR #bo > :order"),
    }
}

fn begin(key: &ConversationKey, message: &NewMessage, now: Timestamp, policies: &Policies) -> Conversation {
    let queue = Queue::new(vec![message.entry.clone()]);
    let readiness = queue.readiness(now, policies.queue.on_retry);
    Conversation {
        id: message.conversation.clone(),
        key: key.clone(),
        agent: message.agent.clone(),
        fence: Fence(0),
        version: 1,
        queue,
        lease: None,
        owner: None,
        last: None,
        ready: readiness.ready,
        behind: readiness.behind,
        active_at: now,
    }
}

fn right_variant(
    refusal: Option<&Refusal>,
    message: &NewMessage,
    now: Timestamp,
    policies: &Policies,
) -> Result<Result<Variant, Enqueued>, StoreError> {
    match refusal.and_then(|r| r.old.as_ref()) {
        Some(old) => Ok(variant_for(&conversation_from(old)?, message, now, policies)),
        None => Ok(Ok(Variant::Create)),
    }
}

/// How `message` enters the conversation as it stands, or why it does not.
fn variant_for(
    conversation: &Conversation,
    message: &NewMessage,
    now: Timestamp,
    policies: &Policies,
) -> Result<Variant, Enqueued> {
    if conversation.agent != message.agent {
        return Err(Enqueued::BoundToAnotherAgent(conversation.agent.clone()));
    }
    if conversation.queue.len() as u64 >= policies.queue.max_pending_per_conversation {
        return Err(Enqueued::QueueFull);
    }
    let ready = ready_key(&message.entry, now);
    let order = OrderKey::of(message.entry.priority, message.entry.due);
    let keeps = conversation.ready.as_ref().is_none_or(|k| *k <= ready)
        || conversation.behind.as_ref().is_some_and(|b| *b <= order);
    Ok(if keeps { Variant::Keep } else { Variant::Raise })
}
