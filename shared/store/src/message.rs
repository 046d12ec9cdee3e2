//! Messages.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use sha2::{Digest, Sha256};

use af_domain::conversation::Priority;
use af_domain::ids::{AgentKey, BotIdentity, ConversationId, ConversationKey, Fence, MessageId};
use af_domain::message::{Message, MessageStatus, Payload, Reply, ReplyFormat};
use af_domain::policy::Policies;
use af_domain::time::{Millis, Timestamp};

use crate::attachment;
use crate::attempt::attempts_from;
use crate::expression::Update;
use crate::item::{Item, Reader, Writer};
use crate::keys::ONLY;
use crate::outbox::delivery_from;
use crate::payload::{Encoded, decode, encode};
use crate::write::{Updated, queried};
use crate::{Result, Store, StoreError, keys};

/// Largest payload that is stored in the message's item. Transactions are billed twice per KB. A larger
/// payload is a separate item, written once outside the transaction.
const MAX_INLINE_PAYLOAD_BYTES: usize = 4 * 1024;

/// The item of a message before its first write.
#[derive(Debug, Clone)]
pub struct MessageItem {
    id: MessageId,
    base: Item,
    payload: Encoded,
    body_hash: String,
}

impl MessageItem {
    /// Builds the item of a new message.
    pub fn new(message: &Message) -> Self {
        let body_hash = message.body_hash.clone();
        let payload = encode(&message.payload);
        let base = Writer::at(keys::message(&message.id))
            .put("cid", message.conversation.as_str())
            .put("ag", message.agent.as_str())
            .put("st", message.status.as_str())
            .put("p", u64::from(message.priority.get()))
            .put("due", message.due)
            .put("en", message.enqueued_at)
            .put("bh", body_hash.as_str())
            .put("lp", keys::messages_partition(&message.key))
            .put("ats", Vec::<String>::new())
            .put("lk", message_list_key(message.enqueued_at, &message.id))
            .put_some("fi", attachment::encode(&message.payload.attachments))
            .put_some("fb", message.fetched_by.as_ref().map(BotIdentity::as_str));
        Self { id: message.id.clone(), base: base.build(), payload, body_hash }
    }

    pub(crate) const fn id(&self) -> &MessageId {
        &self.id
    }

    /// The size of the payload as JSON.
    pub const fn payload_bytes(&self) -> usize {
        self.payload.json_bytes
    }

    fn is_inline(&self) -> bool {
        is_inline(&self.payload)
    }

    pub(crate) fn item(&self) -> Item {
        let base = Writer::from(self.base.clone());
        let item = if self.is_inline() {
            base.put("pl", self.payload.value.clone())
        } else {
            base.put("pb", self.payload.json_bytes as u64)
        };
        item.build()
    }

    /// Returns the separate item of a payload that is too large for the message's item.
    pub(crate) fn separate_payload(&self) -> Option<Item> {
        if self.is_inline() {
            return None;
        }
        let item = Writer::at(keys::message_payload(&self.id, &self.body_hash));
        Some(item.put("pl", self.payload.value.clone()).build())
    }

    pub(crate) fn is_same_body(&self, old: Option<&Item>) -> Result<bool> {
        let Some(old) = old else { return Ok(false) };
        Ok(Reader::of(old).text("bh")? == self.body_hash)
    }
}

/// Returns the size of a payload as JSON.
pub fn payload_bytes(payload: &Payload) -> usize {
    encode(payload).json_bytes
}

/// Whether a payload is stored in the message's item.
pub(crate) const fn is_inline(payload: &Encoded) -> bool {
    payload.json_bytes <= MAX_INLINE_PAYLOAD_BYTES
}

/// Returns the sort key of a message in the list of its conversation's messages.
pub fn message_list_key(enqueued_at: Timestamp, id: &MessageId) -> String {
    format!("{:013}#{id}", enqueued_at.as_millis())
}

/// The separate payload item of a message that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedPayload {
    message: MessageId,
    body_hash: String,
    ttl: u64,
}

/// Returns the payload that must expire together with the message of a stream record; `None` if the message
/// has no separate payload or does not expire.
pub fn ended_payload(image: Option<&BTreeMap<String, serde_json::Value>>) -> Result<Option<EndedPayload>> {
    let Some(image) = image else { return Ok(None) };
    let value = |name: &str, kind: &str| image.get(name).and_then(|v| v.get(kind)).and_then(|v| v.as_str());
    let (Some(pk), Some(ONLY)) = (value("pk", "S"), value("sk", "S")) else { return Ok(None) };
    let (Some(id), Some(_), Some(ttl)) = (pk.strip_prefix("M#"), value("pb", "N"), value("ttl", "N")) else {
        return Ok(None);
    };
    let malformed = |name: &str| StoreError::malformed(pk, format!("{name}: missing or malformed"));
    Ok(Some(EndedPayload {
        message: MessageId::parse(id).map_err(|_| malformed("pk"))?,
        body_hash: value("bh", "S").ok_or_else(|| malformed("bh"))?.to_owned(),
        ttl: ttl.parse().map_err(|_| malformed("ttl"))?,
    }))
}

/// The TTL of a message that ends now, in seconds.
pub(crate) fn ended_message_ttl(now: Timestamp, policies: &Policies) -> u64 {
    let kept = Millis::from_days(policies.queue.done_retention_days).max(policies.retention.dedupe);
    (now + kept).as_ttl()
}

/// The mark by which a dead letter is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterMark {
    /// The sort key in its shard: when the message became a dead letter, and its id.
    pub place: String,
    /// The message.
    pub message: MessageId,
    /// The conversation of the message.
    pub conversation: ConversationId,
}

/// Returns the hash of a request, which distinguishes a repetition from another message with the same id.
pub fn body_hash(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    data_encoding::HEXLOWER.encode(&hash.finalize()[..16])
}

/// The message of a stream record, if Telegram has brought it and it is stored in the record's item; `None` for other
/// records.
pub fn accepted_from_telegram(image: Option<&BTreeMap<String, serde_json::Value>>) -> Option<MessageId> {
    let text = |name: &str| image?.get(name)?.get("S")?.as_str();
    let id = text("pk")?.strip_prefix("M#").filter(|id| id.starts_with("tg:"))?;
    MessageId::parse(id).ok().filter(|_| text("sk") == Some(ONLY))
}

impl Store {
    /// Returns a message with its payload, in one query of its partition. Returns `None` if it does not exist
    /// or has expired.
    pub async fn message(&self, id: &MessageId, now: Timestamp, consistent: bool) -> Result<Option<Message>> {
        let query = self.query("#pk = :pk", [(":pk", keys::message(id).pk.into())]);
        let items = queried(query.consistent_read(consistent)).await?.items.unwrap_or_default();
        let sorted_as =
            |wanted: &str| items.iter().find(|i| Reader::of(i).text("sk").is_ok_and(|sk| sk == wanted));
        // A payload without a message belongs to a refused enqueue.
        let Some(message) = sorted_as(ONLY) else { return Ok(None) };
        let reader = Reader::of(message);
        if reader.is_expired(now)? {
            return Ok(None);
        }
        let payload = sorted_as(&keys::message_payload(id, reader.text("bh")?).sk);
        if payload.is_none() && reader.number_if("pb")?.is_some() {
            // A replica may have received only a part of the write.
            if !consistent {
                return Ok(None);
            }
            return Err(reader.malformed("pb", "the payload's own item is missing"));
        }
        message_from(message, payload).map(Some)
    }

    /// Returns the messages of `ids` that exist and have not expired, in the order of `ids` and without large
    /// payloads.
    pub async fn messages(&self, ids: &[MessageId], now: Timestamp) -> Result<Vec<Message>> {
        self.messages_at(ids, now, false).await
    }

    /// Returns the same, strongly consistent.
    pub async fn messages_now(&self, ids: &[MessageId], now: Timestamp) -> Result<Vec<Message>> {
        self.messages_at(ids, now, true).await
    }

    async fn messages_at(&self, ids: &[MessageId], now: Timestamp, consistent: bool) -> Result<Vec<Message>> {
        let mut found = Vec::with_capacity(ids.len());
        for item in self.batch_get(ids.iter().map(keys::message), consistent).await? {
            if !Reader::of(&item).is_expired(now)? {
                found.push(message_from(&item, None)?);
            }
        }
        found.sort_by_key(|m| ids.iter().position(|id| *id == m.id));
        Ok(found)
    }

    /// Sets the TTL of a message's separate payload to that of the message. Returns `false` if the payload
    /// does not exist.
    pub async fn expire_payload_if_present(&self, payload: &EndedPayload) -> Result<bool> {
        let update = Update::of(keys::message_payload(&payload.message, &payload.body_hash))
            .set("ttl", payload.ttl)
            .when("attribute_exists(#pk)");
        Ok(matches!(self.update(update).await?, Updated::Done(_)))
    }

    /// Returns one page of the dead-letter marks of one shard, the newest first.
    pub async fn dead_letters(
        &self,
        shard: u64,
        limit: i32,
        before: Option<&str>,
    ) -> Result<Vec<DeadLetterMark>> {
        let pk = keys::dead_letter_partition(shard);
        let values = [(":pk", pk.into()), (":before", before.unwrap_or("~").into())];
        let query = self.query("#pk = :pk AND #sk < :before", values).scan_index_forward(false);
        marks(query.limit(limit)).await
    }

    /// Returns one page of the dead-letter marks of one shard whose sort keys are from `from` (empty for all) to
    /// `to`, the oldest first. The read is strongly consistent, so that it does not return a message that was
    /// just queued again.
    pub async fn dead_letters_oldest_first(
        &self,
        shard: u64,
        limit: i32,
        from: &str,
        to: &str,
    ) -> Result<Vec<DeadLetterMark>> {
        // DynamoDB accepts no empty key. A space sorts before every mark.
        let from = if from.is_empty() { " " } else { from };
        let pk = keys::dead_letter_partition(shard);
        let values = [(":pk", pk.into()), (":from", from.into()), (":to", to.into())];
        let query = self.query("#pk = :pk AND #sk BETWEEN :from AND :to", values);
        marks(query.consistent_read(true).limit(limit)).await
    }
}

async fn marks(query: QueryFluentBuilder) -> Result<Vec<DeadLetterMark>> {
    let mark = |item: &Item| {
        let reader = Reader::of(item);
        let place = reader.text("sk")?;
        let id = place.split_once('#').map_or("", |(_, id)| id);
        Ok(DeadLetterMark {
            place: place.to_owned(),
            message: MessageId::parse(id).map_err(|e| reader.malformed("sk", &e.to_string()))?,
            conversation: reader.id("cid", ConversationId::parse)?,
        })
    };
    queried(query).await?.items().iter().map(mark).collect()
}

fn reply_from(reader: &Reader<'_>) -> Result<Option<Reply>> {
    let Some(text) = reader.text_if("re")? else { return Ok(None) };
    let format = reader.text_if("rf")?.and_then(ReplyFormat::parse).unwrap_or(ReplyFormat::Plain);
    Ok(Some(Reply { text: text.to_owned(), format }))
}

pub(crate) fn message_from(item: &Item, separate_payload: Option<&Item>) -> Result<Message> {
    let reader = Reader::of(item);
    let stored = item.get("pl").or_else(|| separate_payload?.get("pl"));
    let mut payload = match stored {
        Some(stored) => decode(&reader, stored)?,
        None => Payload::default(),
    };
    for added in ["wm", "dm"] {
        payload.metadata.extend(reader.text_map(added)?);
    }
    payload.attachments = attachment::decode(&reader)?;
    Ok(Message {
        id: reader.id_after("M#", "pk", MessageId::parse)?,
        conversation: reader.id("cid", ConversationId::parse)?,
        key: reader.id_after("C#", "lp", ConversationKey::parse)?,
        agent: reader.id("ag", AgentKey::parse)?,
        status: MessageStatus::parse(reader.text("st")?)
            .ok_or_else(|| reader.malformed("st", "not a status"))?,
        priority: Priority::new(reader.number("p")?)
            .ok_or_else(|| reader.malformed("p", "not a priority"))?,
        due: reader.time("due")?,
        enqueued_at: reader.time("en")?,
        payload,
        attempts: u32::try_from(reader.number_if("at")?.unwrap_or_default()).unwrap_or(u32::MAX),
        last_error: reader.text_if("er")?.map(str::to_owned),
        reply: reply_from(&reader)?,
        delivery: delivery_from(&reader)?,
        finished_at: reader.time_if("da")?,
        fence: reader.number_if("fe")?.map(Fence),
        max_attempts: reader.number_if("am")?.and_then(|n| u32::try_from(n).ok()),
        first_fence: reader.number_if("ff")?.map(Fence),
        attempt_log: attempts_from(&reader)?,
        retried_by: reader.text_if("rt")?.map(str::to_owned),
        retried_at: reader.time_if("ra")?,
        fetched_by: reader.id_if("fb", BotIdentity::parse)?,
        body_hash: reader.text("bh")?.to_owned(),
    })
}
