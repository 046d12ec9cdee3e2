//! The pending queue of one conversation: its order, its head, and where it stands in the ready index.
//!
//! Order (invariant 3): a message that was claimed before and waits for its retry is the head until it is
//! terminal (`OnRetry::Block`); otherwise, among the due, priority descending, then due time, then arrival.
//! One whose attachments are still to come holds its place among them: what comes after it waits for it. A message
//! scheduled for the future blocks nobody until it is due.

use std::fmt;

use crate::ids::{Fence, MessageId};
use crate::policy::OnRetry;
use crate::time::Timestamp;

/// Priority of a message, 0 to 100; higher runs first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority(u8);

impl Priority {
    /// The highest priority.
    pub const MAX: u64 = 100;

    /// Checks and wraps `value`; `None` above 100.
    pub fn new(value: u64) -> Option<Self> {
        u8::try_from(value).ok().filter(|p| u64::from(*p) <= Self::MAX).map(Self)
    }

    /// The number, 0 to 100.
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// One waiting message, as the conversation knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which message.
    pub message: MessageId,
    /// Its priority.
    pub priority: Priority,
    /// When it was due first: its scheduled time, or the moment it was enqueued.
    pub due: Timestamp,
    /// Whether a caller asked for that time, rather than "now".
    pub scheduled: bool,
    /// Claims so far.
    pub attempts: u32,
    /// How many of them do not count: they were cut off by a drain that we ordered.
    pub drained: u32,
    /// Claims it may have that count.
    pub max_attempts: u32,
    /// Not to be claimed before this moment: its retry's backoff, or, before its first claim, the latest that its
    /// attachments may come.
    pub not_before: Timestamp,
    /// Fence of its first claim; its history entries are filed under it.
    pub first_fence: Option<Fence>,
}

impl Entry {
    /// Claims that count towards its maximum.
    pub const fn attempts_counted(&self) -> u32 {
        self.attempts.saturating_sub(self.drained)
    }

    /// Whether it was claimed before and came back.
    pub const fn is_retry(&self) -> bool {
        self.attempts > 0
    }

    /// Whether its attachments are still to come.
    pub fn awaits_attachments(&self, now: Timestamp) -> bool {
        !self.is_retry() && self.not_before > now
    }

    /// From when it may be claimed, as far as that depends on itself.
    pub fn waits_until(&self) -> Timestamp {
        self.due.max(self.not_before)
    }

    /// Whether it has its place among the due; what holds one may still not be claimable.
    fn has_its_place(&self, now: Timestamp) -> bool {
        let from = if self.is_retry() { self.waits_until() } else { self.due };
        from <= now
    }
}

/// Sort key of a conversation in the ready index. Due work sorts before all work that is not due yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReadyKey(String);

/// Sort key of a message among its conversation's due messages.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrderKey(String);

impl OrderKey {
    /// Sorts before every message's key: nothing may pass.
    fn first() -> Self {
        Self("!".into())
    }

    /// Key of a message of this priority, due at `due`.
    pub fn of(priority: Priority, due: Timestamp) -> Self {
        Self(format!("{:03}#{:013}", Priority::MAX - u64::from(priority.0), due.as_millis()))
    }

    /// The key as it is stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes a stored key.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }
}

impl ReadyKey {
    /// Key of a conversation whose head is due: `0#<100 − priority>#<due>`.
    pub fn due(priority: Priority, due: Timestamp) -> Self {
        Self(format!("0#{}", OrderKey::of(priority, due).0))
    }

    /// Key of a conversation whose head becomes due at `time`: `1#<time>`.
    pub fn at(time: Timestamp) -> Self {
        Self(format!("1#{:013}", time.as_millis()))
    }

    /// The first key that is not claimable at `now`: everything below it is.
    pub fn horizon(now: Timestamp) -> Self {
        Self(format!("1#{:013}", now.as_millis() + 1))
    }

    /// The key as it is stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes a stored key.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// Whether the key was written for a later moment (`1#…`).
    pub fn is_later(&self) -> bool {
        self.0.starts_with("1#")
    }

    /// The priority band (`0#<100 − priority>`) of a key written for due work.
    pub fn band(&self) -> Option<&str> {
        self.0.starts_with("0#").then(|| self.0.get(..5)).flatten()
    }

    /// Since when (or from when) the conversation is ready.
    pub fn time(&self) -> Option<Timestamp> {
        self.0.rsplit('#').next().and_then(|t| t.parse().ok()).map(Timestamp::from_millis)
    }
}

impl fmt::Display for ReadyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a queue has to offer at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Index of the message that may be claimed now.
    pub head: Option<usize>,
    /// Key of the conversation in the ready index; `None` when nothing waits.
    pub ready: Option<ReadyKey>,
    /// Order key of a head that others must not pass.
    pub behind: Option<OrderKey>,
}

/// The messages that wait, in the order they arrived; one that came back for its retry stands first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queue(Vec<Entry>);

impl Queue {
    /// A queue of these entries, oldest arrival first.
    pub const fn new(entries: Vec<Entry>) -> Self {
        Self(entries)
    }

    /// The entries, oldest arrival first.
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// How many wait.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none waits.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts `entry` back in front, where it was before its claim.
    pub fn put_back(&mut self, entry: Entry) {
        self.0.insert(0, entry);
    }

    /// Adds `entry` as the latest arrival.
    pub fn push(&mut self, entry: Entry) {
        self.0.push(entry);
    }

    /// Takes out the entries of these messages.
    pub fn forget(&mut self, messages: &[MessageId]) {
        self.0.retain(|e| !messages.contains(&e.message));
    }

    /// Lets the entry at `index` be claimed as soon as it is due.
    pub(super) fn end_wait(&mut self, index: usize) {
        self.0[index].not_before = Timestamp::default();
    }

    /// Takes out the entry at `index`.
    pub fn take(&mut self, index: usize) -> Entry {
        self.0.remove(index)
    }

    /// What may be claimed at `now`, and what the indexes must say.
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
        match first(&|e| e.has_its_place(now)) {
            Some(head) if self.0[head].awaits_attachments(now) => self.held_up(head, &order),
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

    /// What there is to claim while the attachments of the first are still to come: nothing, until they have, or until
    /// something falls due that comes before it.
    fn held_up(&self, head: usize, order: &[(u64, u64, usize)]) -> Readiness {
        let before = (0..self.0.len()).filter(|&i| order[i] <= order[head]);
        let ready = before.map(|i| self.0[i].waits_until()).min().map(ReadyKey::at);
        let due = Timestamp::from_millis(order[head].1);
        Readiness { head: None, ready, behind: Some(OrderKey::of(self.0[head].priority, due)) }
    }

    /// The entries in the order in which they would run if nothing came any more.
    pub(super) fn in_order(&self, now: Timestamp, on_retry: OnRetry) -> Vec<&Entry> {
        let order = self.order();
        let mut places: Vec<usize> = (0..self.0.len()).collect();
        places.sort_by_key(|&i| {
            let entry = &self.0[i];
            let blocks = on_retry == OnRetry::Block && entry.is_retry();
            let waits_until = Some(entry.waits_until()).filter(|_| !blocks && !entry.has_its_place(now));
            (!blocks, waits_until, order[i])
        });
        places.into_iter().map(|i| &self.0[i]).collect()
    }

    /// Sort key of each entry. Messages enqueued for "now" by functions whose clocks differ a little keep the
    /// order in which they were committed: none sorts before an earlier arrival of its kind. One that came back stands in
    /// front of those that arrived before it, so where it stands says nothing: its own time does, and makes no other wait.
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
        }
    }

    fn head(queue: &Queue, now: u64, on_retry: OnRetry) -> Option<&str> {
        let readiness = queue.readiness(Timestamp::from_millis(now), on_retry);
        readiness.head.map(|i| queue.entries()[i].message.as_str())
    }

    #[test]
    fn higher_priority_runs_first_then_the_earlier_then_the_first_to_arrive() {
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
    fn a_future_message_blocks_nobody_until_it_is_due() {
        let mut future = entry("f", 100, 1_000);
        future.scheduled = true;
        let queue = Queue::new(vec![future, entry("a", 50, 10)]);
        assert_eq!(head(&queue, 999, OnRetry::Block), Some("a"));
        assert_eq!(head(&queue, 1_000, OnRetry::Block), Some("f"));
    }

    #[test]
    fn a_waiting_retry_blocks_whatever_priority_arrives_or_is_overtaken_by_policy() {
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
    fn what_came_back_neither_passes_what_was_due_before_it_nor_makes_it_wait() {
        let back = |id: &str, priority: u64, due: u64| Entry { attempts: 1, ..entry(id, priority, due) };
        let queue = Queue::new(vec![back("b", 50, 30), back("a", 50, 10)]);
        assert_eq!(head(&queue, 200, OnRetry::Overtake), Some("a"), "b was put back last, and was due later");
        let mut scheduled = entry("s", 50, 50);
        scheduled.scheduled = true;
        let waits = Entry { not_before: Timestamp::from_millis(500), ..back("e", 90, 100) };
        let queue = Queue::new(vec![waits, entry("a", 50, 10), scheduled]);
        assert_eq!(head(&queue, 200, OnRetry::Overtake), Some("a"), "it was due before s");
        let ready = queue.readiness(Timestamp::from_millis(200), OnRetry::Overtake).ready.unwrap();
        assert_eq!(ready.time(), Some(Timestamp::from_millis(10)), "and has waited since then");
    }

    #[test]
    fn one_that_awaits_its_attachments_holds_its_place_and_keeps_nobody_of_higher_rank_waiting() {
        let at = Timestamp::from_millis;
        let photo = Entry { not_before: at(70), ..entry("photo", 50, 10) };
        let urgent = Entry { scheduled: true, ..entry("urgent", 90, 40) };
        for on_retry in [OnRetry::Block, OnRetry::Overtake] {
            let queue = Queue::new(vec![photo.clone(), entry("next", 50, 20)]);
            assert_eq!(head(&queue, 69, on_retry), None);
            assert_eq!(head(&queue, 70, on_retry), Some("photo"), "it goes on without them");
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
    fn ready_keys_sort_due_work_first_and_carry_their_time() {
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
    fn an_empty_queue_has_no_place_in_the_index() {
        let nothing = Queue::default().readiness(Timestamp::default(), OnRetry::Block);
        assert_eq!(nothing, Readiness { head: None, ready: None, behind: None });
    }
}
