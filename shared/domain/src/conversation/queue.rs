//! The pending queue of one conversation: its order, its head, and its keys in the ready index.
//!
//! Order (invariant 3): with `OnRetry::Block`, a message that waits for its retry is the head until it
//! reaches a final state. Otherwise the due messages are ordered by priority (descending), then by due time,
//! then by arrival. A message whose attachments are still pending keeps its position, and later messages wait
//! for it. A message scheduled for the future blocks no other message until it is due.

use std::fmt;

use crate::ids::{Fence, MessageId};
use crate::policy::OnRetry;
use crate::time::Timestamp;

/// Priority of a message, 0 to 100. A message with a higher priority runs first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority(u8);

impl Priority {
    /// The highest priority.
    pub const MAX: u64 = 100;

    /// Wraps `value`; `None` above 100.
    pub fn new(value: u64) -> Option<Self> {
        u8::try_from(value).ok().filter(|p| u64::from(*p) <= Self::MAX).map(Self)
    }

    /// The number, 0 to 100.
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// A waiting message, as the conversation knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The message.
    pub message: MessageId,
    /// The priority.
    pub priority: Priority,
    /// The original due time: the scheduled time, or the moment of the enqueue.
    pub due: Timestamp,
    /// Whether the caller chose the due time.
    pub scheduled: bool,
    /// The number of claims.
    pub attempts: u32,
    /// The number of claims that do not count, because the system drained the worker.
    pub drained: u32,
    /// The number of counted claims that the message may have.
    pub max_attempts: u32,
    /// The earliest moment of a claim. For a retry this is the end of its backoff. Before the first claim it
    /// is the latest moment at which attachments may arrive.
    pub not_before: Timestamp,
    /// The fence of the first claim. The history entries are filed under it.
    pub first_fence: Option<Fence>,
    /// Whether the content of the message has changed since it was accepted. A copy that a replica returns may be older.
    pub revised: bool,
}

impl Entry {
    /// The number of claims that count towards the maximum.
    pub const fn attempts_counted(&self) -> u32 {
        self.attempts.saturating_sub(self.drained)
    }

    /// Whether the message was claimed before and queued again.
    pub const fn is_retry(&self) -> bool {
        self.attempts > 0
    }

    /// Whether attachments of the message are still pending.
    pub fn awaits_attachments(&self, now: Timestamp) -> bool {
        !self.is_retry() && self.not_before > now
    }

    /// The earliest moment of a claim, as far as it depends on the message itself.
    pub fn waits_until(&self) -> Timestamp {
        self.due.max(self.not_before)
    }

    /// Whether the entry has its position among the due messages. An entry in its position may still not be
    /// claimable.
    fn holds_position(&self, now: Timestamp) -> bool {
        let from = if self.is_retry() { self.waits_until() } else { self.due };
        from <= now
    }
}

/// Sort key of a conversation in the ready index. Due work sorts before all future work.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReadyKey(String);

/// Sort key of a message among the due messages of its conversation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrderKey(String);

impl OrderKey {
    /// A key that sorts before every message's key, so that no message may overtake.
    fn first() -> Self {
        Self("!".into())
    }

    /// The key of a message with this priority and due time.
    pub fn of(priority: Priority, due: Timestamp) -> Self {
        Self(format!("{:03}#{:013}", Priority::MAX - u64::from(priority.0), due.as_millis()))
    }

    /// The key as it is stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Wraps a stored key.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }
}

impl ReadyKey {
    /// The key of a conversation whose head is due: `0#<100 − priority>#<due>`.
    pub fn due(priority: Priority, due: Timestamp) -> Self {
        Self(format!("0#{}", OrderKey::of(priority, due).0))
    }

    /// The key of a conversation whose head becomes due at `time`: `1#<time>`.
    pub fn at(time: Timestamp) -> Self {
        Self(format!("1#{:013}", time.as_millis()))
    }

    /// The first key that is not claimable at `now`. Every smaller key is claimable.
    pub fn horizon(now: Timestamp) -> Self {
        Self(format!("1#{:013}", now.as_millis().saturating_add(1)))
    }

    /// The key as it is stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Wraps a stored key.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// Whether the key was written for a future moment (`1#…`).
    pub fn is_later(&self) -> bool {
        self.0.starts_with("1#")
    }

    /// The priority band (`0#<100 − priority>`) of a key for due work.
    pub fn band(&self) -> Option<&str> {
        self.0.starts_with("0#").then(|| self.0.get(..5)).flatten()
    }

    /// The moment since which (or from which) the conversation is ready.
    pub fn time(&self) -> Option<Timestamp> {
        self.0.rsplit('#').next().and_then(|t| t.parse().ok()).map(Timestamp::from_millis)
    }
}

impl fmt::Display for ReadyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a queue offers at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// The index of the message that may be claimed now.
    pub head: Option<usize>,
    /// The key of the conversation in the ready index; `None` for an empty queue.
    pub ready: Option<ReadyKey>,
    /// The order key of a head that other messages must not overtake.
    pub behind: Option<OrderKey>,
}

/// The waiting messages in order of arrival. A message that was queued again for its retry is in front.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queue(Vec<Entry>);

impl Queue {
    /// Creates a queue of these entries, the oldest arrival first.
    pub const fn new(entries: Vec<Entry>) -> Self {
        Self(entries)
    }

    /// The entries, the oldest arrival first.
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// The number of entries.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the queue has no entries.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Inserts `entry` at the front, where it was before its claim.
    pub fn put_back(&mut self, entry: Entry) {
        self.0.insert(0, entry);
    }

    /// Adds `entry` as the latest arrival.
    pub fn push(&mut self, entry: Entry) {
        self.0.push(entry);
    }

    /// Removes the entries of these messages.
    pub fn forget(&mut self, messages: &[MessageId]) {
        self.0.retain(|e| !messages.contains(&e.message));
    }

    /// Sets the moment until which the entry at `index` waits for attachments.
    pub(super) fn wait_until(&mut self, index: usize, until: Timestamp) {
        self.0[index].not_before = until;
    }

    /// Marks the message of the entry at `index` as changed.
    pub(super) fn revise(&mut self, index: usize) {
        self.0[index].revised = true;
    }

    /// Removes the entry at `index` and returns it.
    pub fn take(&mut self, index: usize) -> Entry {
        self.0.remove(index)
    }

    /// Returns the claimable head at `now` and the correct index keys.
    pub fn readiness(&self, now: Timestamp, on_retry: OnRetry) -> Readiness {
        let order = self.order();
        let first = |pick: &dyn Fn(&Entry) -> bool| {
            (0..self.0.len()).filter(|&i| pick(&self.0[i])).min_by_key(|&i| &order[i])
        };
        if on_retry == OnRetry::Block
            && let Some(head) = first(&|e| e.is_retry())
        {
            let entry = &self.0[head];
            let behind = Some(OrderKey::first());
            return if entry.waits_until() <= now {
                let ready = Some(ReadyKey::due(entry.priority, entry.due));
                Readiness { head: Some(head), ready, behind }
            } else {
                Readiness { head: None, ready: Some(ReadyKey::at(entry.waits_until())), behind }
            };
        }
        match first(&|e| e.holds_position(now)) {
            Some(head) if self.0[head].awaits_attachments(now) => self.blocked_by_attachments(head, &order),
            Some(head) => {
                let ready = Some(ReadyKey::due(self.0[head].priority, Timestamp::from_millis(order[head].1)));
                Readiness { head: Some(head), ready, behind: None }
            }
            None => {
                let ready = self.0.iter().map(Entry::waits_until).min().map(ReadyKey::at);
                Readiness { head: None, ready, behind: None }
            }
        }
    }

    /// The readiness while the first message waits for attachments. No message is claimable until the
    /// attachments arrive, or until a message that sorts before it becomes due.
    fn blocked_by_attachments(&self, head: usize, order: &[(u64, u64, usize)]) -> Readiness {
        let before = (0..self.0.len()).filter(|&i| order[i] <= order[head]);
        let ready = before.map(|i| self.0[i].waits_until()).min().map(ReadyKey::at);
        let due = Timestamp::from_millis(order[head].1);
        Readiness { head: None, ready, behind: Some(OrderKey::of(self.0[head].priority, due)) }
    }

    /// The entries in the order in which they would run if no message were added.
    pub(super) fn in_order(&self, now: Timestamp, on_retry: OnRetry) -> Vec<&Entry> {
        let order = self.order();
        let mut places: Vec<usize> = (0..self.0.len()).collect();
        places.sort_by_key(|&i| {
            let entry = &self.0[i];
            let blocks = on_retry == OnRetry::Block && entry.is_retry();
            let waits_until = Some(entry.waits_until()).filter(|_| !blocks && !entry.holds_position(now));
            (!blocks, waits_until, order[i])
        });
        places.into_iter().map(|i| &self.0[i]).collect()
    }

    /// Returns the sort key of each entry. Functions whose clocks differ slightly enqueue messages for "now".
    /// These messages keep the order in which they were committed: none sorts before an earlier arrival of
    /// its kind. A retry is inserted in front of earlier arrivals, so its position has no meaning. It sorts
    /// by its own due time and does not delay other messages.
    fn order(&self) -> Vec<(u64, u64, usize)> {
        let mut latest = 0;
        let key = |(i, e): (usize, &Entry)| {
            let due = if e.scheduled || e.is_retry() {
                e.due.as_millis()
            } else {
                latest = latest.max(e.due.as_millis());
                latest
            };
            (Priority::MAX - u64::from(e.priority.0), due, i)
        };
        self.0.iter().enumerate().map(key).collect()
    }
}

#[cfg(test)]
mod tests;
