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
mod tests {
    use super::*;

    fn entry(id: &str, priority: u64, due: u64) -> Entry {
        Entry {
            message: MessageId::parse(id).unwrap(),
            priority: Priority::new(priority).unwrap(),
            due: Timestamp::from_millis(due),
            scheduled: false,
            attempts: 0,
            drained: 0,
            max_attempts: 5,
            not_before: Timestamp::default(),
            first_fence: None,
            revised: false,
        }
    }

    fn head(queue: &Queue, now: u64, on_retry: OnRetry) -> Option<&str> {
        let readiness = queue.readiness(Timestamp::from_millis(now), on_retry);
        readiness.head.map(|i| queue.entries()[i].message.as_str())
    }

    #[test]
    fn messages_run_by_priority_then_due_time_then_arrival() {
        let queue =
            Queue::new(vec![entry("a", 50, 10), entry("b", 90, 30), entry("c", 90, 20), entry("d", 90, 30)]);
        assert_eq!(
            head(&queue, 100, OnRetry::Block),
            Some("b"),
            "immediate messages keep their order of arrival"
        );
        let mut scheduled = entry("c", 90, 20);
        scheduled.scheduled = true;
        let queue = Queue::new(vec![entry("a", 50, 10), entry("b", 90, 30), scheduled]);
        assert_eq!(head(&queue, 100, OnRetry::Block), Some("c"));
    }

    #[test]
    fn a_scheduled_message_blocks_no_other_message_until_it_is_due() {
        let mut future = entry("f", 100, 1_000);
        future.scheduled = true;
        let queue = Queue::new(vec![future, entry("a", 50, 10)]);
        assert_eq!(head(&queue, 999, OnRetry::Block), Some("a"));
        assert_eq!(head(&queue, 1_000, OnRetry::Block), Some("f"));
    }

    #[test]
    fn the_policy_decides_whether_a_waiting_retry_blocks_or_is_overtaken() {
        let mut retry = entry("r", 50, 10);
        retry.attempts = 1;
        retry.not_before = Timestamp::from_millis(500);
        let queue = Queue::new(vec![retry, entry("a", 100, 20)]);
        assert_eq!(head(&queue, 499, OnRetry::Block), None);
        assert_eq!(head(&queue, 500, OnRetry::Block), Some("r"));
        assert_eq!(head(&queue, 499, OnRetry::Overtake), Some("a"));
        let waiting = queue.readiness(Timestamp::from_millis(100), OnRetry::Block);
        assert_eq!(waiting.ready, Some(ReadyKey::at(Timestamp::from_millis(500))));
        assert!(waiting.behind.unwrap() < OrderKey::of(Priority::new(100).unwrap(), Timestamp::default()));
    }

    #[test]
    fn a_retry_sorts_by_its_due_time_and_delays_no_earlier_message() {
        let back = |id: &str, priority: u64, due: u64| Entry { attempts: 1, ..entry(id, priority, due) };
        let queue = Queue::new(vec![back("b", 50, 30), back("a", 50, 10)]);
        assert_eq!(
            head(&queue, 200, OnRetry::Overtake),
            Some("a"),
            "b was queued again last, and was due later"
        );
        let mut scheduled = entry("s", 50, 50);
        scheduled.scheduled = true;
        let waits = Entry { not_before: Timestamp::from_millis(500), ..back("e", 90, 100) };
        let queue = Queue::new(vec![waits, entry("a", 50, 10), scheduled]);
        assert_eq!(head(&queue, 200, OnRetry::Overtake), Some("a"), "it was due before s");
        let ready = queue.readiness(Timestamp::from_millis(200), OnRetry::Overtake).ready.unwrap();
        assert_eq!(ready.time(), Some(Timestamp::from_millis(10)), "it has waited since then");
    }

    #[test]
    fn a_message_that_awaits_attachments_keeps_its_position_and_does_not_delay_a_higher_priority() {
        let at = Timestamp::from_millis;
        let photo = Entry { not_before: at(70), ..entry("photo", 50, 10) };
        let urgent = Entry { scheduled: true, ..entry("urgent", 90, 40) };
        for on_retry in [OnRetry::Block, OnRetry::Overtake] {
            let queue = Queue::new(vec![photo.clone(), entry("next", 50, 20)]);
            assert_eq!(head(&queue, 69, on_retry), None);
            assert_eq!(head(&queue, 70, on_retry), Some("photo"), "it runs without them");
            let readiness = queue.readiness(at(30), on_retry);
            assert_eq!(readiness.ready, Some(ReadyKey::at(at(70))));
            assert_eq!(readiness.behind, Some(OrderKey::of(Priority::new(50).unwrap(), at(10))));
            let in_order = |queue: &Queue| -> Vec<String> {
                queue.in_order(at(30), on_retry).iter().map(|e| e.message.to_string()).collect()
            };
            assert_eq!(in_order(&queue), ["photo", "next"]);

            let queue = Queue::new(vec![photo.clone(), entry("next", 50, 20), urgent.clone()]);
            assert_eq!(queue.readiness(at(30), on_retry).ready, Some(ReadyKey::at(at(40))));
            assert_eq!(head(&queue, 40, on_retry), Some("urgent"));
        }
        let behind = Queue::new(vec![entry("first", 50, 5), photo]);
        assert_eq!(head(&behind, 30, OnRetry::Block), Some("first"));
    }

    #[test]
    fn ready_keys_sort_due_work_first_and_contain_their_time() {
        let high = ReadyKey::due(Priority::new(90).unwrap(), Timestamp::from_millis(5));
        let low = ReadyKey::due(Priority::new(10).unwrap(), Timestamp::from_millis(1));
        let later = ReadyKey::at(Timestamp::from_millis(7));
        assert!(high < low && low < later);
        assert!(later < ReadyKey::horizon(Timestamp::from_millis(7)));
        assert!(later >= ReadyKey::horizon(Timestamp::from_millis(6)));
        assert_eq!((high.band(), later.band()), (Some("0#010"), None));
        assert_eq!(later.time(), Some(Timestamp::from_millis(7)));
    }

    #[test]
    fn an_empty_queue_has_no_index_keys() {
        let nothing = Queue::default().readiness(Timestamp::default(), OnRetry::Block);
        assert_eq!(nothing, Readiness { head: None, ready: None, behind: None });
    }
}
