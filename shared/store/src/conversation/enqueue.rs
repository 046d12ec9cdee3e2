//! Enqueue: one transaction without a prior read.
//!
//! The transaction puts the message if it is absent (its id is the deduplication key) and appends the entry
//! to the meta item. Whether the ready key must change depends on the waiting messages, which are not read.
//! The first attempt guesses one of two variants. If its condition fails, the returned old item shows the right
//! variant.
//!
//! A limit of the sender is part of the condition. `sl` is the moment at which the whole allowance of the chat is
//! available again: each message moves it by the time in which the allowance of one message comes back. Whether it has
//! passed is guessed, too: a chat that was quiet for some seconds has its whole allowance.

use std::cmp::Ordering;

use af_domain::conversation::{Conversation, Entry, OrderKey, Queue, ReadyKey};
use af_domain::ids::{AgentKey, ConversationId, ConversationKey, Fence, TemplateKey};
use af_domain::ingress::SenderLimit;
use af_domain::policy::Policies;
use af_domain::time::Timestamp;
use af_runtime::metric::Metric;

use super::item::{conversation_from, conversation_item, encode_entry};
use crate::expression::Update;
use crate::item::{Item, Reader, Writer};
use crate::message::MessageItem;
use crate::template::template_used;
use crate::write::{Committed, Transaction};
use crate::{Result, Store, StoreError, keys};

/// How many variants are tried. Each failed attempt returns the variant that was right a moment ago. Only a
/// conversation that changes between every two attempts could use them all.
const MAX_TRIES: usize = 8;

/// A message to enqueue, with its conversation.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// The conversation.
    pub conversation: ConversationId,
    /// The agent that the conversation must belong to.
    pub agent: AgentKey,
    /// The queue entry of the message.
    pub entry: Entry,
    /// The item of the message.
    pub item: MessageItem,
    /// The limit of the sender, if the message counts for one.
    pub limit: Option<SenderLimit>,
    /// The template of the message, which counts its uses.
    pub template: Option<TemplateKey>,
}

/// The number of the template's write in the transaction.
const TEMPLATE_WRITE: usize = 2;

/// The result of an enqueue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enqueued {
    /// The message is accepted.
    New,
    /// A message with this id was accepted before.
    Duplicate {
        /// Whether the earlier message had the same body.
        same_body: bool,
    },
    /// The conversation belongs to another agent. Nothing was written.
    BoundToAnotherAgent(AgentKey),
    /// The queue of the conversation is full. Nothing was written.
    QueueFull,
    /// The sender has used its allowance. Nothing was written.
    RateLimited {
        /// When the next message of the sender is accepted.
        until: Timestamp,
    },
    /// The template of the message does not exist any more. Nothing was written.
    TemplateMissing,
}

/// The number of writes of an enqueue: the message and the meta item.
pub(crate) const WRITES: usize = 2;

/// The result of an enqueue with further writes.
#[derive(Debug)]
pub(crate) enum EnqueuedWith {
    /// The result of the enqueue. The further writes were carried out with a new message only.
    Enqueued(Enqueued),
    /// The conditions of further writes did not hold. Nothing was written.
    Refused(Committed),
}

/// The allowance of a sender, as the write expects it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Allowance {
    /// All of it is available.
    Full,
    /// A part of it is available.
    Partial,
}

/// How the next transaction is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Guess {
    variant: Variant,
    allowance: Allowance,
}

/// The attribute with the moment at which the allowance of the sender is full again.
const FULL_AT: &str = "sl";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// A waiting message sorts first: the ready key does not change.
    Keep,
    /// The new message sorts first: the ready key becomes its key.
    Raise,
    /// The conversation does not exist.
    Create,
}

/// How an enqueue continues.
enum Decision {
    /// Send this transaction.
    Write(Guess),
    /// Refuse the message.
    Refuse(Enqueued),
}

impl Store {
    /// Accepts a message, exactly once. After an error it may have been accepted; a repetition returns
    /// `Duplicate`.
    pub async fn enqueue_if_absent(
        &self,
        message: &NewMessage,
        now: Timestamp,
        policies: &Policies,
    ) -> Result<Enqueued> {
        match self.enqueue_with(message, now, policies, |transaction| transaction).await? {
            EnqueuedWith::Enqueued(enqueued) => Ok(enqueued),
            EnqueuedWith::Refused(_) => Err(StoreError::malformed("enqueue", "refused without a condition")),
        }
    }

    /// Accepts a message together with the writes that `add` adds, in one transaction. The added writes of a message without a
    /// template begin at number [`WRITES`].
    pub(crate) async fn enqueue_with(
        &self,
        message: &NewMessage,
        now: Timestamp,
        policies: &Policies,
        add: impl Fn(Transaction) -> Transaction,
    ) -> Result<EnqueuedWith> {
        let key = keys::conversation_key(&message.conversation);
        if let Some(payload) = message.item.separate_payload() {
            if let Some(refused) = self.refusal_before_write(&key, message, now, policies).await? {
                return Ok(EnqueuedWith::Enqueued(refused));
            }
            self.put(payload).await?;
        }
        let default = policies.queue.default_priority;
        let variant = match u64::from(message.entry.priority.get()).cmp(&default) {
            Ordering::Greater => Variant::Raise,
            Ordering::Less | Ordering::Equal => Variant::Keep,
        };
        let mut guess = Guess { variant, allowance: Allowance::Full };
        for _ in 0..MAX_TRIES {
            let transaction = self.transaction().put_new_at(message.item.item(), now);
            let transaction = match guess.variant {
                Variant::Keep | Variant::Raise => {
                    transaction.update(append(&key, message, guess, now, policies))
                }
                Variant::Create => {
                    let conversation = begin(&key, message, now, policies);
                    let item = Writer::from(conversation_item(&conversation, policies.queue.ready_shards));
                    let full = message.limit.map(|limit| now + limit.interval());
                    transaction.put_new(item.put_some(FULL_AT, full).build())
                }
            };
            let transaction = match &message.template {
                Some(template) => transaction.update(template_used(template)),
                None => transaction,
            };
            let committed = self.commit(add(transaction)).await?;
            if let Committed::Refused(failed) = &committed
                && failed
                    .iter()
                    .any(|failed| failed.index >= WRITES + usize::from(message.template.is_some()))
            {
                return Ok(EnqueuedWith::Refused(committed));
            }
            if let Some(refused) = committed.failed_condition(0) {
                let same_body = message.item.is_same_body(refused.old.as_ref())?;
                return Ok(EnqueuedWith::Enqueued(Enqueued::Duplicate { same_body }));
            }
            if committed.is_done() {
                Metric::MessageEnqueued.count();
                return Ok(EnqueuedWith::Enqueued(Enqueued::New));
            }
            if committed.failed_condition(TEMPLATE_WRITE).is_some() {
                return Ok(EnqueuedWith::Enqueued(Enqueued::TemplateMissing));
            }
            match decide(committed.old_item(1), message, now, policies)? {
                Decision::Write(right) => guess = right,
                Decision::Refuse(refused) => return Ok(EnqueuedWith::Enqueued(refused)),
            }
        }
        Err(StoreError::Contention("enqueue"))
    }

    /// Returns the refusal that the transaction would return, before a large payload is written outside of
    /// it. A refused message then leaves no payload behind, unless the refusal becomes true in between.
    async fn refusal_before_write(
        &self,
        key: &ConversationKey,
        message: &NewMessage,
        now: Timestamp,
        policies: &Policies,
    ) -> Result<Option<Enqueued>> {
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
        Ok(match decide(meta?.as_ref(), message, now, policies)? {
            Decision::Write(_) => None,
            Decision::Refuse(refused) => Some(refused),
        })
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
    guess: Guess,
    now: Timestamp,
    policies: &Policies,
) -> Update {
    let variant = guess.variant;
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
    let update = match &message.limit {
        Some(limit) => within_limit(update, limit, guess.allowance, now),
        None => update,
    };
    // A message that waits for attachments must not be overtaken by later messages. Messages that sort before
    // it may still run.
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

/// Takes one message from the allowance of the sender, on condition that there is one.
fn within_limit(update: Update, limit: &SenderLimit, allowance: Allowance, now: Timestamp) -> Update {
    match allowance {
        Allowance::Full => update
            .set(FULL_AT, now + limit.interval())
            .when("attribute_not_exists(#sl) OR #sl <= :now")
            .bind(":now", now),
        Allowance::Partial => update
            .set_to(FULL_AT, "#sl + :interval")
            .when("#sl > :now AND #sl <= :latest")
            .bind(":interval", limit.interval().as_millis())
            .bind(":latest", limit.latest_full(now))
            .bind(":now", now),
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
        held_until: None,
        active_at: now,
    }
}

/// Decides how `message` is added to the conversation whose current item is `meta`, or why it is refused.
fn decide(
    meta: Option<&Item>,
    message: &NewMessage,
    now: Timestamp,
    policies: &Policies,
) -> Result<Decision> {
    let Some(meta) = meta else {
        return Ok(Decision::Write(Guess { variant: Variant::Create, allowance: Allowance::Full }));
    };
    let conversation = conversation_from(meta)?;
    if conversation.agent != message.agent {
        return Ok(Decision::Refuse(Enqueued::BoundToAnotherAgent(conversation.agent)));
    }
    if conversation.queue.len() as u64 >= policies.queue.max_pending_per_conversation {
        return Ok(Decision::Refuse(Enqueued::QueueFull));
    }
    let allowance = match (&message.limit, Reader::of(meta).time_if(FULL_AT)?) {
        (Some(limit), Some(full)) if full > limit.latest_full(now) => {
            let until = limit.accepted_from(full);
            return Ok(Decision::Refuse(Enqueued::RateLimited { until }));
        }
        (Some(_), Some(full)) if full > now => Allowance::Partial,
        _ => Allowance::Full,
    };
    let ready = ready_key(&message.entry, now);
    let order = OrderKey::of(message.entry.priority, message.entry.due);
    let keeps = conversation.ready.as_ref().is_none_or(|k| *k <= ready)
        || conversation.behind.as_ref().is_some_and(|b| *b <= order);
    let variant = if keeps { Variant::Keep } else { Variant::Raise };
    Ok(Decision::Write(Guess { variant, allowance }))
}
