//! A conversation's history: one item an entry, filed under the claim that wrote it.

use af_domain::ids::{ConversationKey, LeaseParts};
use af_domain::message::{HistoryEntry, PendingToolCall, Role};
use aws_sdk_dynamodb::types::AttributeValue;

use super::Held;
use super::item::conversation_from;
use crate::expression::{Update, names_in};
use crate::item::{Item, Reader, Value, Writer};
use crate::{Store, StoreError, keys};

/// Where an entry goes: under the first claim of its message and the attempt that writes it.
pub(super) struct Place<'a> {
    lease: &'a LeaseParts,
    within: String,
}

impl<'a> Place<'a> {
    fn appended(lease: &'a LeaseParts, index: u64) -> Self {
        Self { lease, within: format!("{index:06}") }
    }

    /// Sorts after everything that was appended while the message ran.
    pub fn at_completion(lease: &'a LeaseParts, index: usize) -> Self {
        Self { lease, within: format!("~{index:05}") }
    }
}

/// What became of an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Append {
    /// The entries are there, by this call or an earlier sending of it.
    Done,
    /// The lease is not in force; nothing was written.
    NotHeld,
    /// The lease has this many entries: the call's `ordinal` does not follow them.
    OutOfOrder {
        /// The ordinal that the next append must have.
        expected: u64,
    },
}

/// A stretch of history.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Newest first. Entries that a later attempt of the same message replaced are left out.
    pub newest_first: Vec<HistoryEntry>,
    /// Cursor of the newest entry, for the next delta.
    pub cursor: Option<String>,
    /// Place of the oldest entry that was read, when there may be older ones.
    pub older_than: Option<String>,
    /// The conversation's pending tool calls.
    pub pending_tool_calls: Vec<PendingToolCall>,
}

impl Store {
    /// Appends entries under a lease. `ordinal` is the number of entries appended under it before.
    ///
    /// # Errors
    /// When the table cannot answer; an append sent again answers `Done`.
    pub async fn append_if_leased(
        &self,
        held: &Held<'_>,
        ordinal: u64,
        entries: &[HistoryEntry],
        pending_tool_calls: Option<&[PendingToolCall]>,
    ) -> Result<Append, StoreError> {
        let id = held.lease;
        let lease = id.parts();
        let key = &lease.conversation;
        let after = ordinal + entries.len() as u64;
        let meta = held
            .require(Update::of(keys::conversation(key)))
            .set("ls.h", after)
            .when("#ls.#h = :ordinal")
            .bind(":ordinal", ordinal);
        let mut transaction = self.transaction().update(meta);
        for (i, entry) in entries.iter().enumerate() {
            transaction = transaction.put(history_item(&Place::appended(&lease, ordinal + i as u64), entry));
        }
        if let Some(calls) = pending_tool_calls {
            transaction = transaction.put(tool_calls_item(key, calls));
        }
        let committed = self.commit(transaction).await?;
        if committed.is_done() {
            return Ok(Append::Done);
        }
        let Some(old) = committed.refusal(0).and_then(|r| r.old.as_ref()) else { return Ok(Append::NotHeld) };
        if !conversation_from(old)?.holds(id) {
            return Ok(Append::NotHeld);
        }
        let appended = Reader::of(old).map_if("ls")?.map_or(Ok(0), |l| l.number("h"))?;
        Ok(if appended == after { Append::Done } else { Append::OutOfOrder { expected: appended } })
    }

    /// The newest `limit` entries of a conversation, or of those after `since`, and its pending tool calls: one
    /// strongly consistent query.
    ///
    /// # Errors
    /// When the table cannot answer, or an entry is malformed.
    pub async fn history(
        &self,
        key: &ConversationKey,
        since: Option<&str>,
        limit: u64,
    ) -> Result<History, StoreError> {
        // One more for the tool calls, which sort last and so come first.
        self.history_page(key, since, None, limit.saturating_add(1)).await
    }

    /// The newest `limit` entries before `place`, where an earlier page ended; without the tool calls.
    ///
    /// # Errors
    /// When the table cannot answer, or an entry is malformed.
    pub async fn history_before(
        &self,
        key: &ConversationKey,
        place: &str,
        limit: u64,
    ) -> Result<History, StoreError> {
        self.history_page(key, None, Some(place), limit).await
    }

    async fn history_page(
        &self,
        key: &ConversationKey,
        since: Option<&str>,
        before: Option<&str>,
        limit: u64,
    ) -> Result<History, StoreError> {
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        // The first possible sort key after `since` is itself with anything behind it.
        let from = since.map_or_else(|| "H#".to_owned(), |s| format!("{s} "));
        let start = before.map(|place| keys::history_at(key, place).attributes());
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#pk = :pk AND #sk BETWEEN :from AND :to")
            .set_expression_attribute_names(Some(names_in("#pk #sk")))
            .expression_attribute_values(":pk", Value::from(keys::conversation(key).pk).0)
            .expression_attribute_values(":from", Value::from(from).0)
            .expression_attribute_values(":to", Value::from(keys::pending_tool_calls(key).sk).0)
            .scan_index_forward(false)
            .set_exclusive_start_key(start)
            .consistent_read(true)
            .limit(limit)
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("Query", &e))?;
        let mut history = history_from(answer.items(), before)?;
        history.older_than = history.older_than.filter(|_| answer.last_evaluated_key.is_some());
        Ok(history)
    }
}

pub(super) fn history_item(at: &Place<'_>, entry: &HistoryEntry) -> Item {
    let key = keys::history(&at.lease.conversation, at.lease.first_fence, at.lease.attempt, &at.within);
    Writer::default()
        .put("pk", key.pk)
        .put("sk", key.sk)
        .put("r", entry.role.as_str())
        .put("c", entry.content.as_str())
        .put("t", entry.at)
        .build()
}

pub(super) fn tool_calls_item(key: &ConversationKey, calls: &[PendingToolCall]) -> Item {
    let key = keys::pending_tool_calls(key);
    let call = |c: &PendingToolCall| {
        let map = Writer::default()
            .put("n", c.tool_name.as_str())
            .put("i", c.call_id.as_str())
            .put("s", c.status.as_str());
        AttributeValue::M(map.build())
    };
    let list = Value(AttributeValue::L(calls.iter().map(call).collect()));
    Writer::default().put("pk", key.pk).put("sk", key.sk).put("tc", list).build()
}

/// Reads entries, newest first. `before` is where the newer page ended, perhaps in the middle of a message.
fn history_from(items: &[Item], before: Option<&str>) -> Result<History, StoreError> {
    let mut history = History::default();
    let mut newest_attempt = before.and_then(claim_and_attempt);
    for item in items {
        let reader = Reader::of(item);
        let sort_key = reader.text("sk")?;
        if sort_key == "H~" {
            history.pending_tool_calls = tool_calls_from(item, &reader)?;
            continue;
        }
        history.cursor.get_or_insert_with(|| sort_key.to_owned());
        history.older_than = Some(sort_key.to_owned());
        let place = claim_and_attempt(sort_key);
        let (fence, attempt) = place.ok_or_else(|| reader.malformed("sk", "not a history key"))?;
        match &newest_attempt {
            Some((f, a)) if *f == fence && *a != attempt => continue,
            _ => newest_attempt = Some((fence, attempt)),
        }
        history.newest_first.push(HistoryEntry {
            role: Role::parse(reader.text("r")?).ok_or_else(|| reader.malformed("r", "not a role"))?,
            content: reader.text("c")?.to_owned(),
            at: reader.time("t")?,
        });
    }
    Ok(history)
}

/// The first claim and the attempt that an entry is filed under.
fn claim_and_attempt(sort_key: &str) -> Option<(String, String)> {
    let mut parts = sort_key.splitn(4, '#').skip(1).map(str::to_owned);
    parts.next().zip(parts.next())
}

fn tool_calls_from(item: &Item, reader: &Reader<'_>) -> Result<Vec<PendingToolCall>, StoreError> {
    let list =
        item.get("tc").and_then(|v| v.as_l().ok()).ok_or_else(|| reader.malformed("tc", "not a list"))?;
    let call = |value: &AttributeValue| {
        let map = value.as_m().map_err(|_| reader.malformed("tc", "not a list of maps"))?;
        let map = Reader::of(map);
        Ok(PendingToolCall {
            tool_name: map.text("n")?.to_owned(),
            call_id: map.text("i")?.to_owned(),
            status: map.text("s")?.to_owned(),
        })
    };
    list.iter().map(call).collect()
}
