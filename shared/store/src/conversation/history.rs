//! The history of a conversation: one item per entry, filed under the claim that wrote it. It therefore sorts
//! in commit order, and all entries up to a cursor are complete.
//!
//! A failed attempt may leave entries behind. The entries of a later attempt of the same message name the
//! message by the fence of its first claim. A reader goes from the newest entry to the oldest, and skips the
//! entries of earlier attempts.

use std::collections::BTreeSet;
use std::fmt;

use af_domain::context::ContextBudget;
use af_domain::document::SetHead;
use af_domain::ids::{ConversationKey, Fence, HistoryCursor, LeaseParts};
use af_domain::message::{HistoryEntry, PendingToolCall, Role};
use af_domain::transcript::{AppendPlan, plan_append};
use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::types::AttributeValue;

use super::item::conversation_from;
use super::lease_ref::LeaseRef;
use crate::document::head_from;
use crate::expression::Update;
use crate::item::{Item, Reader, Value, Writer};
use crate::write::queried;
use crate::{Result, Store, keys};

/// Queries for one range of history. DynamoDB ends a page at 1 MB, so they read at most 12 MB. This is three
/// times what fits into a response; the rest is for entries that a later attempt has replaced.
const MAX_STEPS: usize = 12;
/// Messages that a position names as replaced. A position is part of a URL, whose length the gateway limits.
/// It is more than the queue of a conversation holds. If more dead letters of one conversation were retried,
/// the words of the oldest ones appear twice.
const MAX_REPLACED: usize = 500;

/// The position of an entry under the claim that writes it.
pub(super) struct EntryPosition<'a> {
    lease: &'a LeaseParts,
    within: String,
}

impl<'a> EntryPosition<'a> {
    fn appended(lease: &'a LeaseParts, index: u64) -> Self {
        Self { lease, within: format!("{index:06}") }
    }

    /// A position that sorts after all entries that were appended while the message ran.
    pub fn at_completion(lease: &'a LeaseParts, index: usize) -> Self {
        Self { lease, within: format!("~{index:05}") }
    }
}

/// The result of an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Append {
    /// The entries are stored, by this call or an earlier attempt of it.
    Done,
    /// The lease is not in force; nothing was written.
    LeaseLost,
    /// The `ordinal` of the call does not follow the entries of the lease.
    OutOfOrder {
        /// The number of entries under the lease, which the next append must have as its ordinal.
        expected: u64,
    },
}

/// A range of history.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The entries, the newest first, without those that a later attempt of the same message replaced.
    pub newest_first: Vec<HistoryEntry>,
    /// The position of the newest entry, for the next delta.
    pub cursor: Option<HistoryCursor>,
    /// The position at which older entries begin, if there may be some.
    pub older: Option<ReadPosition>,
    /// Whether an entry may replace one that is before the `since` cursor of the range.
    pub replaces_older: bool,
    /// The pending tool calls of the conversation; empty if the range begins before a position.
    pub pending_tool_calls: Vec<PendingToolCall>,
    /// The head of the conversation's documents; the default if the range begins before a position.
    pub documents: SetHead,
}

/// The range of history to read.
#[derive(Debug, Clone, Copy, Default)]
pub struct HistoryRange<'a> {
    /// Only entries after this cursor; all entries if `None`.
    pub since: Option<&'a HistoryCursor>,
    /// Only entries before this position; from the newest entry on if `None`.
    pub before: Option<&'a ReadPosition>,
}

/// The position that a reader has reached on its way from the newest entry to the oldest, and the messages
/// that it must skip from there on. A skipped message is named by its first claim, and the reader has seen a
/// later attempt of it. A message can be in this set only if it waited for its retry at this position, or was a
/// dead letter that an operator retried later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadPosition {
    fence: Fence,
    within: String,
    /// The first claim of the message that has the entry at this position.
    first: Fence,
    replaced: BTreeSet<Fence>,
}

impl ReadPosition {
    /// Parses a position.
    pub fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('|');
        let fence = Fence(parts.next()?.parse().ok()?);
        let within = parts.next()?.to_owned();
        let mut fences = parts.map(|f| f.parse().ok().map(Fence));
        let first = fences.next()??;
        Some(Self { fence, within, first, replaced: fences.collect::<Option<_>>()? })
    }
}

impl fmt::Display for ReadPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|{}|{}", self.fence, self.within, self.first)?;
        self.replaced.iter().try_for_each(|first| write!(f, "|{first}"))
    }
}

impl Store {
    /// Appends entries under a lease. `ordinal` is the number of entries that were appended under the lease
    /// before. If the lease already has as many entries as it would have after this call, either an earlier
    /// attempt of this call or another call with the same ordinal has written them. The stored entries show
    /// which. A repeated append returns `Done`.
    pub async fn append_if_leased(
        &self,
        held: &LeaseRef<'_>,
        ordinal: u64,
        entries: &[HistoryEntry],
        pending_tool_calls: Option<&[PendingToolCall]>,
    ) -> Result<Append> {
        let after = ordinal.saturating_add(entries.len() as u64);
        let append = self.write_entries(held, ordinal, ordinal, entries, pending_tool_calls).await?;
        if append != (Append::OutOfOrder { expected: after }) {
            return Ok(append);
        }
        let (stands, _) = self.entries_of_lease(&held.lease.parts(), entries.len() as u64).await?;
        Ok(match plan_append(&stands, entries) {
            AppendPlan::AlreadyWritten => Append::Done,
            AppendPlan::ReplaceFrom(_) => append,
        })
    }

    /// Writes entries under a lease from entry number `from` on, and replaces all entries from there on.
    /// `written` is the number of entries that the lease has. If the lease has another number, an earlier
    /// attempt of this call or another call has changed it; the stored entries show which.
    pub async fn rewrite_if_leased(
        &self,
        held: &LeaseRef<'_>,
        from: u64,
        written: u64,
        entries: &[HistoryEntry],
    ) -> Result<Append> {
        self.write_entries(held, from, written, entries, None).await
    }

    async fn write_entries(
        &self,
        held: &LeaseRef<'_>,
        from: u64,
        written: u64,
        entries: &[HistoryEntry],
        pending_tool_calls: Option<&[PendingToolCall]>,
    ) -> Result<Append> {
        let id = held.lease;
        let lease = id.parts();
        let key = &lease.conversation;
        let after = from.saturating_add(entries.len() as u64);
        let meta = held.update().set("ls.h", after).when_is("ls.h", written);
        let meta = count_entries(meta, written, after);
        let mut transaction = self.transaction().update(meta);
        for (i, entry) in entries.iter().enumerate() {
            transaction =
                transaction.put(history_item(&EntryPosition::appended(&lease, from + i as u64), entry));
        }
        for index in after..written {
            let place = EntryPosition::appended(&lease, index);
            transaction = transaction.delete(&keys::history(key, lease.fence, &place.within));
        }
        if let Some(calls) = pending_tool_calls {
            transaction = transaction.put(tool_calls_item(key, calls));
        }
        let committed = self.commit(transaction).await?;
        if committed.is_done() {
            return Ok(Append::Done);
        }
        let Some(old) = committed.old_item(0) else { return Ok(Append::LeaseLost) };
        // A caller with a foreign lease id must not learn how many entries its holder has written.
        if !conversation_from(old)?.lease.is_some_and(|lease| held.matches(&lease)) {
            return Ok(Append::LeaseLost);
        }
        let appended = Reader::of(old).map_if("ls")?.map_or(Ok(0), |l| l.number("h"))?;
        Ok(Append::OutOfOrder { expected: appended })
    }

    /// Returns the newest `limit` entries under a lease, the oldest first, and the number of all entries.
    pub async fn entries_of_lease(&self, lease: &LeaseParts, limit: u64) -> Result<(Vec<HistoryEntry>, u64)> {
        let key = &lease.conversation;
        let start = HistoryCursor { conversation: key.clone(), fence: lease.fence, place: String::new() };
        let stretch = HistoryRange { since: Some(&start), before: None };
        let mut history = self.history(key, stretch, ContextBudget::new(limit, u64::MAX, u64::MAX)).await?;
        history.newest_first.reverse();
        let newest = history.cursor.and_then(|c| c.place.parse::<u64>().ok());
        Ok((history.newest_first, newest.map_or(0, |newest| newest + 1)))
    }

    /// Returns the newest entries of a range that `budget` admits, strongly consistent. It sends one query,
    /// and more only if the budget is not used up and DynamoDB ended the page at 1 MB. The cost follows the
    /// budget, not the length of the history.
    pub async fn history(
        &self,
        key: &ConversationKey,
        stretch: HistoryRange<'_>,
        mut budget: ContextBudget,
    ) -> Result<History> {
        let mut history = History::default();
        let mut reached = stretch.before.cloned();
        for _ in 0..MAX_STEPS {
            // Two more items than entries: for the head of the documents and the tool calls, which sort last and are read
            // first, or to detect that there are more entries.
            let answer =
                self.history_page(key, &stretch, reached.as_ref(), budget.entries_left() + 2).await?;
            for item in answer.items() {
                let reader = Reader::of(item);
                match reader.text("sk")? {
                    keys::DOCUMENTS_HEAD => {
                        history.documents = head_from(&reader)?;
                        continue;
                    }
                    keys::TOOL_CALLS => {
                        history.pending_tool_calls = tool_calls_from(&reader)?;
                        continue;
                    }
                    _ => {}
                }
                let filed = EntryKey::read(key, &reader)?;
                let replaced = reached.as_ref().is_some_and(|r| filed.is_replaced(r));
                if !replaced {
                    let entry = entry_from(&reader)?;
                    if !budget.admits(&entry) {
                        history.older = reached;
                        return Ok(history);
                    }
                    history.replaces_older |= stretch.since.is_some_and(|s| filed.replaces_before(s));
                    history.newest_first.push(entry);
                }
                history.cursor.get_or_insert_with(|| filed.place.clone());
                reached = Some(filed.advance(reached));
            }
            if answer.last_evaluated_key.is_none() {
                return Ok(history);
            }
            if budget.entries_left() == 0 {
                break;
            }
        }
        history.older = reached;
        Ok(history)
    }

    async fn history_page(
        &self,
        key: &ConversationKey,
        stretch: &HistoryRange<'_>,
        before: Option<&ReadPosition>,
        limit: u64,
    ) -> Result<QueryOutput> {
        // The first sort key after `since` is `since` followed by the smallest character.
        let since = |s: &HistoryCursor| format!("{} ", keys::history(key, s.fence, &s.place).sk);
        let from = stretch.since.map_or_else(|| keys::HISTORY.to_owned(), since);
        let start = before.map(|b| keys::history(key, b.fence, &b.within).attributes());
        let pk = keys::conversation(key).pk;
        let values = [(":pk", pk.into()), (":from", from.into()), (":to", keys::DOCUMENTS_HEAD.into())];
        let query = self.query("#pk = :pk AND #sk BETWEEN :from AND :to", values);
        let query = query.scan_index_forward(false).set_exclusive_start_key(start).consistent_read(true);
        queried(query.limit(i32::try_from(limit).unwrap_or(i32::MAX))).await
    }
}

/// The position of a stored entry.
struct EntryKey {
    place: HistoryCursor,
    /// The fence of the first claim of its message.
    first: Fence,
}

impl EntryKey {
    fn read(key: &ConversationKey, reader: &Reader<'_>) -> Result<Self> {
        let malformed = || reader.malformed("sk", "not a history key");
        let mut parts = reader.text("sk")?.splitn(3, '#').skip(1);
        let fence = parts.next().and_then(|f| f.parse().ok()).map(Fence).ok_or_else(malformed)?;
        let place = parts.next().ok_or_else(malformed)?.to_owned();
        let first = reader.number_if("ff")?.map_or(fence, Fence);
        Ok(Self { place: HistoryCursor { conversation: key.clone(), fence, place }, first })
    }

    /// Whether the reader has already seen a later attempt of the same message.
    fn is_replaced(&self, reached: &ReadPosition) -> bool {
        let is_earlier_attempt = self.place.fence < reached.fence && self.first == reached.first;
        is_earlier_attempt || reached.replaced.contains(&self.first)
    }

    /// Whether the entry belongs to a later attempt of a message whose earlier attempt may be before
    /// `cursor`.
    fn replaces_before(&self, cursor: &HistoryCursor) -> bool {
        self.first <= cursor.fence && cursor.fence < self.place.fence
    }

    fn advance(self, reached: Option<ReadPosition>) -> ReadPosition {
        let fence = self.place.fence;
        let mut replaced = BTreeSet::new();
        if let Some(reached) = reached {
            replaced = reached.replaced;
            if fence < reached.fence {
                replaced.insert(reached.first);
            }
        }
        // A message has no entries before its first claim.
        replaced.retain(|first| *first <= fence);
        while replaced.len() > MAX_REPLACED {
            replaced.pop_first();
        }
        ReadPosition { fence, within: self.place.place, first: self.first, replaced }
    }
}

/// Counts the entries of a history, of which a lease had `before` and has `after` now.
pub(super) fn count_entries(meta: Update, before: u64, after: u64) -> Update {
    let sign = if after < before { '-' } else { '+' };
    meta.set_to("hc", &format!("if_not_exists(#hc, :none) {sign} :entries"))
        .bind(":none", 0_u64)
        .bind(":entries", after.abs_diff(before))
}

pub(super) fn history_item(at: &EntryPosition<'_>, entry: &HistoryEntry) -> Item {
    let LeaseParts { conversation, fence, first_fence, .. } = at.lease;
    Writer::at(keys::history(conversation, *fence, &at.within))
        .put("r", entry.role.as_str())
        .put("c", entry.content.as_str())
        .put("t", entry.at)
        .put_some("ff", (first_fence != fence).then_some(first_fence.0))
        .build()
}

pub(super) fn tool_calls_item(key: &ConversationKey, calls: &[PendingToolCall]) -> Item {
    let call = |c: &PendingToolCall| {
        let map = Writer::default()
            .put("n", c.tool_name.as_str())
            .put("i", c.call_id.as_str())
            .put("s", c.status.as_str());
        AttributeValue::M(map.build())
    };
    let list = Value(AttributeValue::L(calls.iter().map(call).collect()));
    Writer::at(keys::pending_tool_calls(key)).put("tc", list).build()
}

fn entry_from(reader: &Reader<'_>) -> Result<HistoryEntry> {
    Ok(HistoryEntry {
        role: Role::parse(reader.text("r")?).ok_or_else(|| reader.malformed("r", "not a role"))?,
        content: reader.text("c")?.to_owned(),
        at: reader.time("t")?,
    })
}

pub(super) fn tool_calls_from(reader: &Reader<'_>) -> Result<Vec<PendingToolCall>> {
    let call = |map: Reader<'_>| {
        Ok(PendingToolCall {
            tool_name: map.text("n")?.to_owned(),
            call_id: map.text("i")?.to_owned(),
            status: map.text("s")?.to_owned(),
        })
    };
    reader.maps("tc")?.into_iter().map(call).collect()
}

#[cfg(test)]
mod tests;
