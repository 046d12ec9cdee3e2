//! A conversation's history: one item an entry, filed under the claim that wrote it, so that it sorts in the order in
//! which it was committed: what a cursor has passed is complete.
//!
//! An attempt that failed may have left entries behind. Those of a later attempt of the same message say which message
//! they belong to by the fence of its first claim, and a reader, who comes from the newest, skips the older ones.

use std::collections::BTreeSet;
use std::fmt;

use af_domain::context::ContextBudget;
use af_domain::ids::{ConversationKey, Fence, HistoryCursor, LeaseParts};
use af_domain::message::{HistoryEntry, PendingToolCall, Role};
use af_domain::transcript;
use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::types::AttributeValue;

use super::LeaseRef;
use super::item::conversation_from;
use crate::expression::{Update, names_in};
use crate::item::{Item, Reader, Value, Writer};
use crate::{Store, StoreError, keys};

/// Queries for one stretch of history. DynamoDB ends a page at 1 MB, so these read 12 MB at most: three times what fits
/// into an answer, the rest is for entries that a later attempt has replaced.
const STEPS_MAX: usize = 12;

/// Where an entry goes: under the claim that writes it.
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
    /// Where the newest entry stands, for the next delta.
    pub cursor: Option<HistoryCursor>,
    /// Where older entries begin, when there may be some.
    pub older: Option<Before>,
    /// Whether an entry may replace one that stands before the cursor after which this stretch begins.
    pub replaces_older: bool,
    /// The conversation's pending tool calls; empty in a stretch that begins before a place.
    pub pending_tool_calls: Vec<PendingToolCall>,
}

/// Which stretch of a conversation's history is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stretch<'a> {
    /// Only entries that have come since; all when none.
    pub since: Option<&'a HistoryCursor>,
    /// Only entries before this place; from the newest on when none.
    pub before: Option<&'a Before>,
}

/// A place that a reader who comes from the newest has reached, and what he must skip from there on: the messages, by
/// their first claims, of which he has seen a later attempt. A message can only be one of them while it waits for its
/// retry at that place, so there are at most as many as one conversation can hold back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Before {
    fence: Fence,
    within: String,
    /// First claim of the message whose entry stands at this place.
    first: Fence,
    replaced: BTreeSet<Fence>,
}

impl Before {
    /// Reads a place as it was written.
    pub fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('|');
        let fence = Fence(parts.next()?.parse().ok()?);
        let within = parts.next()?.to_owned();
        let mut fences = parts.map(|f| f.parse().ok().map(Fence));
        let first = fences.next()??;
        Some(Self { fence, within, first, replaced: fences.collect::<Option<_>>()? })
    }
}

impl fmt::Display for Before {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|{}|{}", self.fence, self.within, self.first)?;
        self.replaced.iter().try_for_each(|first| write!(f, "|{first}"))
    }
}

impl Store {
    /// Appends entries under a lease. `ordinal` is the number of entries appended under it before. When the lease has as
    /// many as it would have after this call, that may be the doing of an earlier sending, or of another call that had
    /// seen the same number: what stands there tells.
    ///
    /// # Errors
    /// When the table cannot answer; an append sent again answers `Done`.
    pub async fn append_if_leased(
        &self,
        leased: &LeaseRef<'_>,
        ordinal: u64,
        entries: &[HistoryEntry],
        pending_tool_calls: Option<&[PendingToolCall]>,
    ) -> Result<Append, StoreError> {
        let after = ordinal.saturating_add(entries.len() as u64);
        let append = self.write_entries(leased, ordinal, ordinal, entries, pending_tool_calls).await?;
        if append != (Append::OutOfOrder { expected: after }) {
            return Ok(append);
        }
        let (stands, _) = self.entries_of_lease(&leased.lease.parts(), entries.len() as u64).await?;
        Ok(match transcript::place(&stands, entries) {
            transcript::Place::Known => Append::Done,
            transcript::Place::From(_) => append,
        })
    }

    /// Writes entries under a lease from its entry number `from` on, in place of all that stand there; `written` is the
    /// number of entries that the lease has. When it has another number, that may be the doing of an earlier sending or of
    /// somebody else: only what stands there tells.
    ///
    /// # Errors
    /// When the table cannot answer.
    pub async fn rewrite_if_leased(
        &self,
        leased: &LeaseRef<'_>,
        from: u64,
        written: u64,
        entries: &[HistoryEntry],
    ) -> Result<Append, StoreError> {
        self.write_entries(leased, from, written, entries, None).await
    }

    async fn write_entries(
        &self,
        leased: &LeaseRef<'_>,
        from: u64,
        written: u64,
        entries: &[HistoryEntry],
        pending_tool_calls: Option<&[PendingToolCall]>,
    ) -> Result<Append, StoreError> {
        let id = leased.lease;
        let lease = id.parts();
        let key = &lease.conversation;
        let after = from.saturating_add(entries.len() as u64);
        let meta = leased
            .require(Update::of(keys::conversation(key)))
            .set("ls.h", after)
            .when("#ls.#h = :ordinal")
            .bind(":ordinal", written);
        let mut transaction = self.transaction().update(meta);
        for (i, entry) in entries.iter().enumerate() {
            transaction = transaction.put(history_item(&Place::appended(&lease, from + i as u64), entry));
        }
        for index in after..written {
            let place = Place::appended(&lease, index);
            transaction = transaction.delete(&keys::history(key, lease.fence, &place.within));
        }
        if let Some(calls) = pending_tool_calls {
            transaction = transaction.put(tool_calls_item(key, calls));
        }
        let committed = self.commit(transaction).await?;
        if committed.is_done() {
            return Ok(Append::Done);
        }
        let Some(old) = committed.refusal(0).and_then(|r| r.old.as_ref()) else { return Ok(Append::NotHeld) };
        // Whoever else knows the lease's id is not told how far its holder has come.
        if !conversation_from(old)?.lease.is_some_and(|lease| leased.is_of(&lease)) {
            return Ok(Append::NotHeld);
        }
        let appended = Reader::of(old).map_if("ls")?.map_or(Ok(0), |l| l.number("h"))?;
        Ok(Append::OutOfOrder { expected: appended })
    }

    /// What stands under a lease: at most the newest `limit` entries, oldest first, and the number of all of them.
    ///
    /// # Errors
    /// When the table cannot answer, or an entry is malformed.
    pub async fn entries_of_lease(
        &self,
        lease: &LeaseParts,
        limit: u64,
    ) -> Result<(Vec<HistoryEntry>, u64), StoreError> {
        let key = &lease.conversation;
        let start = HistoryCursor { conversation: key.clone(), fence: lease.fence, place: String::new() };
        let stretch = Stretch { since: Some(&start), before: None };
        let mut history = self.history(key, stretch, ContextBudget::new(limit, u64::MAX, u64::MAX)).await?;
        history.newest_first.reverse();
        let newest = history.cursor.and_then(|c| c.place.parse::<u64>().ok());
        Ok((history.newest_first, newest.map_or(0, |newest| newest + 1)))
    }

    /// The newest entries of a stretch that `budget` admits, strongly consistent: one query, and more only while the
    /// budget lasts and DynamoDB ended a page at 1 MB. What is read follows the budget, however long the history is.
    ///
    /// # Errors
    /// When the table cannot answer, or an entry is malformed.
    pub async fn history(
        &self,
        key: &ConversationKey,
        stretch: Stretch<'_>,
        mut budget: ContextBudget,
    ) -> Result<History, StoreError> {
        let mut history = History::default();
        let mut reached = stretch.before.cloned();
        for _ in 0..STEPS_MAX {
            // One more for the tool calls, which sort last and so come first, or to see that there is more.
            let answer =
                self.history_page(key, &stretch, reached.as_ref(), budget.entries_left() + 1).await?;
            for item in answer.items() {
                let reader = Reader::of(item);
                if reader.text("sk")? == keys::TOOL_CALLS {
                    history.pending_tool_calls = tool_calls_from(item, &reader)?;
                    continue;
                }
                let filed = Filed::read(key, &reader)?;
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
                reached = Some(filed.passed_after(reached));
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
        stretch: &Stretch<'_>,
        before: Option<&Before>,
        limit: u64,
    ) -> Result<QueryOutput, StoreError> {
        // The first possible sort key after `since` is itself with anything behind it.
        let since = |s: &HistoryCursor| format!("{} ", keys::history(key, s.fence, &s.place).sk);
        let from = stretch.since.map_or_else(|| keys::HISTORY.to_owned(), since);
        let start = before.map(|b| keys::history(key, b.fence, &b.within).attributes());
        self.client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#pk = :pk AND #sk BETWEEN :from AND :to")
            .set_expression_attribute_names(Some(names_in("#pk #sk")))
            .expression_attribute_values(":pk", Value::from(keys::conversation(key).pk).0)
            .expression_attribute_values(":from", Value::from(from).0)
            .expression_attribute_values(":to", Value::from(keys::TOOL_CALLS).0)
            .scan_index_forward(false)
            .set_exclusive_start_key(start)
            .consistent_read(true)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("Query", &e))
    }
}

/// Where an entry is filed.
struct Filed {
    place: HistoryCursor,
    /// Fence of the first claim of its message.
    first: Fence,
}

impl Filed {
    fn read(key: &ConversationKey, reader: &Reader<'_>) -> Result<Self, StoreError> {
        let malformed = || reader.malformed("sk", "not a history key");
        let mut parts = reader.text("sk")?.splitn(3, '#').skip(1);
        let fence = parts.next().and_then(|f| f.parse().ok()).map(Fence).ok_or_else(malformed)?;
        let place = parts.next().ok_or_else(malformed)?.to_owned();
        let first = reader.number_if("ff")?.map_or(fence, Fence);
        Ok(Self { place: HistoryCursor { conversation: key.clone(), fence, place }, first })
    }

    /// Whether a later attempt of the same message, which the reader has seen on the way here, replaced it.
    fn is_replaced(&self, reached: &Before) -> bool {
        let is_earlier_attempt = self.place.fence < reached.fence && self.first == reached.first;
        is_earlier_attempt || reached.replaced.contains(&self.first)
    }

    /// Whether it is of a later attempt of a message whose earlier one may stand before `cursor`.
    fn replaces_before(&self, cursor: &HistoryCursor) -> bool {
        self.first <= cursor.fence && cursor.fence < self.place.fence
    }

    fn passed_after(self, reached: Option<Before>) -> Before {
        let fence = self.place.fence;
        let mut replaced = BTreeSet::new();
        if let Some(reached) = reached {
            replaced = reached.replaced;
            if fence < reached.fence {
                replaced.insert(reached.first);
            }
        }
        // Nothing of a message stands before its first claim.
        replaced.retain(|first| *first <= fence);
        Before { fence, within: self.place.place, first: self.first, replaced }
    }
}

pub(super) fn history_item(at: &Place<'_>, entry: &HistoryEntry) -> Item {
    let LeaseParts { conversation, fence, first_fence, .. } = at.lease;
    let key = keys::history(conversation, *fence, &at.within);
    Writer::default()
        .put("pk", key.pk)
        .put("sk", key.sk)
        .put("r", entry.role.as_str())
        .put("c", entry.content.as_str())
        .put("t", entry.at)
        .put_some("ff", (first_fence != fence).then_some(first_fence.0))
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

fn entry_from(reader: &Reader<'_>) -> Result<HistoryEntry, StoreError> {
    Ok(HistoryEntry {
        role: Role::parse(reader.text("r")?).ok_or_else(|| reader.malformed("r", "not a role"))?,
        content: reader.text("c")?.to_owned(),
        at: reader.time("t")?,
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn filed(fence: u64, first: u64) -> Filed {
        let conversation = ConversationKey::parse("abcdefghijklmnopqrstuvwx23").unwrap();
        Filed {
            place: HistoryCursor { conversation, fence: Fence(fence), place: "000000".to_owned() },
            first: Fence(first),
        }
    }

    /// The fences of those that a reader is shown who takes `pages` entries at a time and carries his place as text.
    fn shown(entries: &[(u64, u64)], page: usize) -> Vec<u64> {
        let (mut shown, mut reached) = (Vec::new(), None::<Before>);
        for stretch in entries.chunks(page) {
            reached = reached.map(|r| Before::read(&r.to_string()).unwrap());
            for (fence, first) in stretch {
                let filed = filed(*fence, *first);
                if !reached.as_ref().is_some_and(|r| filed.is_replaced(r)) {
                    shown.push(*fence);
                }
                reached = Some(filed.passed_after(reached));
            }
        }
        shown
    }

    #[test]
    fn what_a_later_attempt_replaced_is_skipped_wherever_a_page_ends() {
        // Message 1 is overtaken by 2 and by 4; message 3 fails, too, and leaves nothing at its second attempt.
        let entries = [(7, 1), (7, 1), (6, 6), (5, 1), (4, 4), (3, 3), (2, 2), (1, 1), (1, 1)];
        for page in 1..=entries.len() {
            assert_eq!(shown(&entries, page), [7, 7, 6, 4, 3, 2], "{page} a page");
        }
    }

    #[test]
    fn a_place_remembers_only_what_may_still_come() {
        let reached = filed(5, 2).passed_after(Some(filed(9, 7).passed_after(None)));
        assert_eq!(reached.to_string(), "5|000000|2");
        let reached = filed(4, 4).passed_after(Some(reached));
        assert_eq!(reached.to_string(), "4|000000|4|2");
        assert_eq!(filed(1, 1).passed_after(Some(reached)).to_string(), "1|000000|1");
    }
}
