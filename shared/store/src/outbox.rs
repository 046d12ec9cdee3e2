//! Outboxes: one item per chat with messages that wait for their delivery to Telegram.
//!
//! The item is the commit point of all deliveries to its chat. An entry is appended in the transaction of its cause.
//! Every later write requires that the first entry and the sender's note are as they were read, so of two senders one
//! is stale. An append changes neither, so it never makes a sender stale. The item is deleted with its last entry.

use std::collections::BTreeMap;

use af_domain::ids::{ConsumerUserId, MessageId};
use af_domain::outbox::{Chat, Content, Delivery, DeliveryState, Entry, MAX_ENTRIES, Outbox, Part, Sending};
use af_domain::time::{Millis, Timestamp};
use serde::{Deserialize, Serialize};

use crate::expression::Update;
use crate::idempotency::IdempotentCall;
use crate::item::{Item, Reader, Writer};
use crate::keys;
use crate::table::Page;
use crate::write::{Commit, Committed, Transaction, Updated, queried};
use crate::{Result, Store};

/// A reply or notice for a chat, to be appended in the transaction of its cause.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// The chat.
    pub chat: Chat,
    /// The entry.
    pub entry: Entry,
    /// When another sender looks after the entry, if the caller has not delivered it by then.
    pub due_at: Timestamp,
}

/// An entry as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredEntry {
    id: String,
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    reply_of: Option<String>,
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    topic: Option<i64>,
    #[serde(rename = "mv", default, skip_serializing_if = "Option::is_none")]
    moved_to: Option<i64>,
    #[serde(rename = "at")]
    queued_at: u64,
    #[serde(rename = "w", default, skip_serializing_if = "is_zero")]
    waits: u32,
    #[serde(rename = "p", default, skip_serializing_if = "Vec::is_empty")]
    parts: Vec<StoredPart>,
}

/// A part as it is stored: the id of a sent message, `u` for uncertain, or `f` for failed.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum StoredPart {
    Sent(i64),
    Other(String),
}

/// A delivery as it is stored with its message.
#[derive(Serialize, Deserialize)]
struct StoredDelivery {
    #[serde(rename = "st")]
    state: String,
    #[serde(rename = "ch")]
    chat: String,
    #[serde(rename = "re", default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(rename = "p", default, skip_serializing_if = "Vec::is_empty")]
    parts: Vec<StoredPart>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn stored_parts(parts: &[Part]) -> Vec<StoredPart> {
    let stored = |part: &Part| match part {
        Part::Sent { message_id } => StoredPart::Sent(*message_id),
        Part::Uncertain => StoredPart::Other("u".to_owned()),
        Part::Failed => StoredPart::Other("f".to_owned()),
    };
    parts.iter().map(stored).collect()
}

/// A part of an unknown kind may have arrived.
fn parts_of(stored: Vec<StoredPart>) -> Vec<Part> {
    let part = |stored| match stored {
        StoredPart::Sent(message_id) => Part::Sent { message_id },
        StoredPart::Other(kind) if kind == "f" => Part::Failed,
        StoredPart::Other(_) => Part::Uncertain,
    };
    stored.into_iter().map(part).collect()
}

fn encode(entry: &Entry) -> String {
    let (reply_of, notice) = match &entry.content {
        Content::Reply(message) => (Some(message.to_string()), None),
        Content::Notice(text) => (None, Some(text.clone())),
    };
    let stored = StoredEntry {
        id: entry.id.clone(),
        reply_of,
        notice,
        user: entry.user.as_ref().map(ToString::to_string),
        topic: entry.topic,
        moved_to: entry.moved_to,
        queued_at: entry.queued_at.as_millis(),
        waits: entry.waits,
        parts: stored_parts(&entry.parts),
    };
    serde_json::to_string(&stored).expect("strings and numbers become JSON")
}

fn decode(reader: &Reader<'_>, text: &str) -> Result<Entry> {
    let malformed = |problem: &str| reader.malformed("q", problem);
    let stored: StoredEntry = serde_json::from_str(text).map_err(|e| malformed(&e.to_string()))?;
    let content = match (stored.reply_of, stored.notice) {
        (Some(message), _) => {
            Content::Reply(MessageId::parse(message).map_err(|e| malformed(&e.to_string()))?)
        }
        (None, Some(text)) => Content::Notice(text),
        (None, None) => return Err(malformed("an entry without content")),
    };
    let user = stored.user.map(ConsumerUserId::parse).transpose().map_err(|e| malformed(&e.to_string()))?;
    Ok(Entry {
        id: stored.id,
        content,
        user,
        topic: stored.topic,
        moved_to: stored.moved_to,
        queued_at: Timestamp::from_millis(stored.queued_at),
        waits: stored.waits,
        parts: parts_of(stored.parts),
    })
}

/// Returns the stored form of a delivery.
pub(crate) fn encode_delivery(delivery: &Delivery) -> String {
    let stored = StoredDelivery {
        state: delivery.state.as_str().to_owned(),
        chat: delivery.chat.to_string(),
        reason: delivery.reason.clone(),
        parts: stored_parts(&delivery.parts),
    };
    serde_json::to_string(&stored).expect("strings and numbers become JSON")
}

pub(crate) fn delivery_from(reader: &Reader<'_>) -> Result<Option<Delivery>> {
    let Some(text) = reader.text_if("dl")? else { return Ok(None) };
    let malformed = |problem: &str| reader.malformed("dl", problem);
    let stored: StoredDelivery = serde_json::from_str(text).map_err(|e| malformed(&e.to_string()))?;
    Ok(Some(Delivery {
        state: DeliveryState::parse(&stored.state).ok_or_else(|| malformed("not a state"))?,
        chat: Chat::parse(&stored.chat).ok_or_else(|| malformed("not a chat"))?,
        reason: stored.reason,
        parts: parts_of(stored.parts),
    }))
}

/// Whether a stored delivery is in this state.
pub(crate) fn is_in_state(stored: &str, state: DeliveryState) -> bool {
    serde_json::from_str::<StoredDelivery>(stored).is_ok_and(|delivery| delivery.state == state.as_str())
}

/// The update that appends an entry to the outbox of its chat. Its condition fails if the outbox is full.
pub(crate) fn appended(new: &NewEntry) -> Update {
    Update::of(keys::outbox(&new.chat))
        .set_to("q", "list_append(if_not_exists(#q, :none), :entry)")
        .set("rp", keys::OUTBOXES)
        .set_to("rk", "if_not_exists(#rk, :due)")
        .bind(":none", Vec::<String>::new())
        .bind(":entry", vec![encode(&new.entry)])
        .bind(":due", keys::outbox_due(new.due_at))
        .when("attribute_not_exists(#q) OR size(#q) < :max")
        .bind(":max", MAX_ENTRIES)
}

/// Requires that the first entry and the sender's note are as in `outbox`.
fn unchanged(outbox: &Outbox) -> Update {
    let update = Update::of(keys::outbox(&outbox.chat));
    let update = match outbox.head() {
        Some(head) => update.when("#q[0] = :head").bind(":head", encode(head)),
        None => update.when("attribute_not_exists(#q)"),
    };
    match &outbox.sending {
        Some(sending) => update
            .when("#sd.#w = :sender AND #sd.#ex = :until")
            .bind(":sender", sending.sender.as_str())
            .bind(":until", sending.until),
        None => update.when("attribute_not_exists(#sd)"),
    }
}

fn outbox_from(item: &Item) -> Result<Outbox> {
    let reader = Reader::of(item);
    let chat = reader.text("pk")?.strip_prefix(keys::OUTBOX_PREFIX).and_then(Chat::parse);
    let sending = match reader.map_if("sd")? {
        Some(sd) => Some(Sending { sender: sd.text("w")?.to_owned(), until: sd.time("ex")? }),
        None => None,
    };
    let entries = reader.texts("q")?.into_iter().map(|text| decode(&reader, text));
    Ok(Outbox {
        chat: chat.ok_or_else(|| reader.malformed("pk", "not a chat"))?,
        entries: entries.collect::<Result<_>>()?,
        sending,
        waits_until: reader.time_if("wt")?,
        due_at: reader.text("rk")?.parse().map(Timestamp::from_millis).unwrap_or_default(),
    })
}

/// The chat of a stream record whose outbox a sender should look after now; `None` for other records.
pub fn due_outbox(image: Option<&BTreeMap<String, serde_json::Value>>, now: Timestamp) -> Option<Chat> {
    let text = |name: &str| image?.get(name)?.get("S")?.as_str();
    let chat = text("pk")?.strip_prefix(keys::OUTBOX_PREFIX).and_then(Chat::parse)?;
    let due_at = text("rk")?.parse().map(Timestamp::from_millis).ok()?;
    (due_at <= now).then_some(chat)
}

impl Store {
    /// Returns the outbox of a chat; `None` if nothing waits there.
    pub async fn outbox(&self, chat: &Chat, consistent: bool) -> Result<Option<Outbox>> {
        self.get(keys::outbox(chat), consistent).await?.as_ref().map(outbox_from).transpose()
    }

    /// Sends a transaction together with a notice about it. If the outbox of the notice has no room, the transaction is sent
    /// without the notice.
    pub(crate) async fn commit_and_notify(
        &self,
        transaction: Transaction,
        notice: Option<&NewEntry>,
    ) -> Result<Committed> {
        if let Some(notice) = notice {
            let writes = transaction.len();
            match self.commit(transaction.clone().update(appended(notice))).await? {
                Committed::Refused(failed) if failed.iter().all(|failed| failed.index == writes) => {}
                committed => return Ok(committed),
            }
        }
        self.commit(transaction).await
    }

    /// Appends a notice, unless the chat got one of this `kind` within `pause`. It is stale then, and when the
    /// outbox has no room.
    pub async fn notify_if_not_lately(
        &self,
        notice: &NewEntry,
        kind: &str,
        pause: Millis,
        now: Timestamp,
    ) -> Result<Commit> {
        let mark =
            Writer::at(keys::notice_mark(&notice.chat, kind)).put("ttl", (now + pause).as_ttl()).build();
        self.commit_or_stale(self.transaction().put_new_at(mark, now).update(appended(notice))).await
    }

    /// Changes an outbox whose first entry stays. It is stale if the outbox has changed since it was read. A repetition
    /// of a change that was carried out is done.
    pub async fn change_outbox_if_unchanged(&self, before: &Outbox, after: &Outbox) -> Result<Commit> {
        let sending = after.sending.as_ref().map(|sending| {
            Writer::default().put("w", sending.sender.as_str()).put("ex", sending.until).build()
        });
        let mut update = unchanged(before)
            .set_or_remove("sd", sending)
            .set_or_remove("wt", after.waits_until)
            .set("rk", keys::outbox_due(after.due_at));
        if let Some(head) = after.head().filter(|head| before.head() != Some(head)) {
            update = update.set_to("q[0]", ":after").bind(":after", encode(head));
        }
        Ok(match self.update(update).await? {
            Updated::Refused(Some(item)) if !is_same(&outbox_from(&item)?, after) => Commit::Stale,
            Updated::Refused(None) => Commit::Stale,
            Updated::Done(_) | Updated::Refused(Some(_)) => Commit::Done,
        })
    }

    /// Removes the first entry of an outbox, and stores what became of it with its message. It is stale if the outbox
    /// has changed since it was read.
    pub async fn end_delivery_if_unchanged(
        &self,
        before: &Outbox,
        delivery: &Delivery,
        now: Timestamp,
    ) -> Result<Commit> {
        let mut is_last = before.entries.len() == 1;
        let mut has_message = true;
        loop {
            let outbox = if is_last {
                let alone = unchanged(before).when("size(#q) = :one").bind(":one", 1_u64);
                self.transaction().delete_when(&alone)
            } else {
                let shifted = unchanged(before)
                    .remove("q[0]")
                    .remove("sd")
                    .remove("wt")
                    .set("rk", keys::outbox_due(now))
                    .when("size(#q) > :one")
                    .bind(":one", 1_u64);
                self.transaction().update(shifted)
            };
            let transaction = with_delivery(outbox, before, delivery, has_message);
            let refused = match self.commit(transaction).await? {
                Committed::Done => return Ok(Commit::Done),
                refused @ Committed::Refused(_) => refused,
            };
            if refused.failed_condition(1).is_some() && has_message {
                // The message has expired.
                has_message = false;
                continue;
            }
            let current = refused.old_item(0).map(outbox_from).transpose()?;
            match current.filter(|current| is_same(current, before)) {
                Some(current) if (current.entries.len() == 1) != is_last => is_last = !is_last,
                _ => return Ok(Commit::Stale),
            }
        }
    }

    /// Returns one page of all outboxes in which something waits, those that are due first. `after` is the `next` of the
    /// page before.
    pub async fn outboxes(&self, limit: i32, after: Option<&str>) -> Result<Page<Outbox, String>> {
        let values = [(":rp", keys::OUTBOXES.into())];
        let start = after.and_then(|position| position.split_once('#')).map(|(due, pk)| {
            let key = keys::Key { pk: pk.to_owned(), sk: keys::ONLY.to_owned() };
            Writer::at(key).put("rp", keys::OUTBOXES).put("rk", due).build()
        });
        let query = self.query("#rp = :rp", values).index_name(keys::READY_INDEX);
        let answer = queried(query.limit(limit).set_exclusive_start_key(start)).await?;
        let chats: Vec<Chat> = answer.items().iter().filter_map(chat_of).collect();
        let mut items = Vec::with_capacity(chats.len());
        for item in self.batch_get(chats.iter().map(keys::outbox), false).await? {
            items.push(outbox_from(&item)?);
        }
        items.sort_by_key(|outbox| chats.iter().position(|chat| *chat == outbox.chat));
        // The last item may be a managed bot, which the partition also contains.
        let position = |item: &Item| {
            let reader = Reader::of(item);
            Some(format!("{}#{}", reader.text("rk").ok()?, reader.text("pk").ok()?))
        };
        let last = answer.items().last().filter(|_| answer.last_evaluated_key.is_some());
        Ok(Page { items, next: last.and_then(position) })
    }

    /// Puts the reply of an ended message into the outbox again, with the record of the call `once`. It is stale if the
    /// message is gone, its delivery is no longer `before`, the outbox is full, or the call was carried out before.
    pub async fn resend_if_unchanged(
        &self,
        message: &MessageId,
        before: Option<&Delivery>,
        new: &NewEntry,
        once: Option<&IdempotentCall>,
    ) -> Result<Commit> {
        let waiting = Update::of(keys::message(message))
            .set("dl", encode_delivery(&Delivery::waiting(new.chat.clone())))
            .when("attribute_exists(#pk)");
        let waiting = match before {
            Some(before) => waiting.when_is("dl", encode_delivery(before)),
            None => waiting.when("attribute_not_exists(#dl)"),
        };
        let transaction = self.transaction().update(appended(new)).update(waiting);
        self.commit_or_stale(transaction.record_call(once, &new.chat.to_string())).await
    }
}

/// Adds what became of the first entry of `outbox` to its message.
fn with_delivery(
    transaction: Transaction,
    outbox: &Outbox,
    delivery: &Delivery,
    has_message: bool,
) -> Transaction {
    match outbox.head().map(|head| &head.content) {
        Some(Content::Reply(message)) if has_message => transaction.update(
            Update::of(keys::message(message))
                .set("dl", encode_delivery(delivery))
                .when("attribute_exists(#pk)"),
        ),
        _ => transaction,
    }
}

/// Whether both have the same first entry and the same note of a sender.
fn is_same(one: &Outbox, other: &Outbox) -> bool {
    one.head() == other.head() && one.sending == other.sending
}

pub(crate) fn chat_of(item: &Item) -> Option<Chat> {
    Reader::of(item).text("pk").ok()?.strip_prefix(keys::OUTBOX_PREFIX).and_then(Chat::parse)
}

#[cfg(test)]
mod tests;
