//! The order of a queue, and its keys in the ready index.

use af_domain::conversation::{Entry, OrderKey, Priority, Queue, Readiness, ReadyKey};
use af_domain::ids::MessageId;
use af_domain::policy::OnRetry;
use af_domain::time::Timestamp;
use proptest::prelude::*;

use crate::config;

/// Small times, so that they collide.
const LATEST: u64 = 60;
/// A moment after every due time.
const END: Timestamp = Timestamp::from_millis(2 * LATEST);
/// The largest number of entries of one queue.
const MAX_ENTRIES: usize = 8;

fn entry() -> impl Strategy<Value = Entry> {
    let priority = prop_oneof![Just(10_u64), Just(50), Just(90)];
    (priority, 0..LATEST, any::<bool>(), prop_oneof![3 => Just(0_u32), 1 => 1..4_u32], 0..LATEST).prop_map(
        |(priority, due, scheduled, attempts, not_before)| Entry {
            message: MessageId::parse("m").unwrap(),
            priority: Priority::new(priority).unwrap(),
            due: Timestamp::from_millis(due),
            scheduled,
            attempts,
            drained: 0,
            max_attempts: 5,
            // A claimed entry waits for its retry. An entry that was not claimed or scheduled waits for its
            // attachments.
            not_before: Timestamp::from_millis(if attempts == 0 && scheduled { 0 } else { not_before }),
            first_fence: None,
            revised: false,
        },
    )
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    prop::collection::vec(entry(), 0..=MAX_ENTRIES).prop_map(|mut entries| {
        for (n, entry) in entries.iter_mut().enumerate() {
            entry.message = MessageId::parse(format!("m{n}")).unwrap();
        }
        entries
    })
}

fn on_retry() -> impl Strategy<Value = OnRetry> {
    prop_oneof![Just(OnRetry::Block), Just(OnRetry::Overtake)]
}

fn moment() -> impl Strategy<Value = Timestamp> {
    (0..=2 * LATEST).prop_map(Timestamp::from_millis)
}

fn readiness(entries: &[Entry], now: Timestamp, on_retry: OnRetry) -> Readiness {
    Queue::new(entries.to_vec()).readiness(now, on_retry)
}

/// The same entries at `now`, when all pending attachments have arrived.
fn with_arrived_attachments(mut entries: Vec<Entry>, now: Timestamp) -> Vec<Entry> {
    for entry in entries.iter_mut().filter(|e| !e.is_retry() && e.due > now) {
        entry.not_before = Timestamp::default();
    }
    entries
}

/// The earliest moment at which an entry may be claimed.
fn claimable_at(entry: &Entry) -> Timestamp {
    entry.due.max(entry.not_before)
}

/// The sort key of an entry among the due entries: priority, then time, then arrival. The time of an immediate message
/// is not before that of an earlier immediate message. A retry is inserted in front and sorts by its own time.
fn sort_key(entries: &[Entry], nth: usize) -> (u64, Timestamp, usize) {
    let entry = &entries[nth];
    let is_of_now = |e: &&Entry| !e.scheduled && e.attempts == 0;
    let own_kind = entries[..=nth].iter().filter(is_of_now).map(|e| e.due).max();
    let time = own_kind.filter(|_| is_of_now(&entry)).unwrap_or(entry.due);
    (Priority::MAX - u64::from(entry.priority.get()), time, nth)
}

/// The head according to the documented order.
fn first(entries: &[Entry], now: Timestamp, on_retry: OnRetry) -> Option<usize> {
    let by_place = |those: Vec<usize>| those.into_iter().min_by_key(|&n| sort_key(entries, n));
    let retries = (0..entries.len()).filter(|&n| entries[n].is_retry()).collect();
    let may_run = |n: &usize| claimable_at(&entries[*n]) <= now;
    match by_place(retries).filter(|_| on_retry == OnRetry::Block) {
        Some(retry) => Some(retry).filter(may_run),
        None => {
            // A message that waits for attachments keeps its position, and no later message overtakes it.
            let has_place = |n: &usize| may_run(n) || (!entries[*n].is_retry() && entries[*n].due <= now);
            by_place((0..entries.len()).filter(has_place).collect()).filter(may_run)
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_head_is_the_first_message_of_the_order(entries in entries(), now in moment(), on_retry in on_retry()) {
        prop_assert_eq!(readiness(&entries, now, on_retry).head, first(&entries, now, on_retry));
    }

    #[test]
    fn with_block_no_message_overtakes_a_waiting_retry(entries in entries(), now in moment()) {
        let found = readiness(&entries, now, OnRetry::Block);
        if entries.iter().any(Entry::is_retry) {
            prop_assert!(found.head.is_none_or(|n| entries[n].is_retry()));
            let best = OrderKey::of(Priority::new(Priority::MAX).unwrap(), Timestamp::default());
            prop_assert!(found.behind.is_some_and(|behind| behind <= best), "an enqueue would overtake it");
        } else if !entries.iter().any(|e| e.awaits_attachments(now)) {
            prop_assert_eq!(found.behind, None);
        }
    }

    #[test]
    fn only_a_message_that_sorts_earlier_overtakes_one_that_waits_for_attachments(
        entries in entries(), now in moment(), on_retry in on_retry(),
    ) {
        let found = readiness(&entries, now, on_retry);
        let waits = |n: &usize| entries[*n].awaits_attachments(now) && entries[*n].due <= now;
        let Some(first) = (0..entries.len()).filter(waits).min_by_key(|&n| sort_key(&entries, n)) else {
            return Ok(());
        };
        let may_pass = |n: usize| {
            entries[n].is_retry() && on_retry == OnRetry::Block || sort_key(&entries, n) < sort_key(&entries, first)
        };
        prop_assert!(found.head.is_none_or(may_pass));
        let is_blocked = found.head.is_none();
        prop_assert!(!is_blocked || found.behind.is_some(), "an enqueue behind it would change the key without need");
    }

    #[test]
    fn a_scheduled_message_does_not_change_the_head(
        entries in entries(), later in entry(), at in 0..=MAX_ENTRIES, now in moment(), on_retry in on_retry(),
    ) {
        let due = now + af_domain::time::Millis::new(1 + later.due.as_millis());
        let later = Entry { due, scheduled: true, attempts: 0, ..later };
        let mut with = entries.clone();
        with.insert(at.min(entries.len()), Entry { message: MessageId::parse("later").unwrap(), ..later });
        let head = |of: &[Entry]| readiness(of, now, on_retry).head.map(|n| of[n].message.clone());
        prop_assert_eq!(head(&with), head(&entries));
    }

    #[test]
    fn the_ready_key_matches_the_head(entries in entries(), now in moment(), on_retry in on_retry()) {
        let found = readiness(&entries, now, on_retry);
        prop_assert_eq!(found.ready.is_none(), entries.is_empty());
        let listed = found.ready.as_ref().is_some_and(|key| *key < ReadyKey::horizon(now));
        prop_assert_eq!(listed, found.head.is_some());
        if let (Some(head), Some(key)) = (found.head, &found.ready) {
            let of_head = ReadyKey::due(entries[head].priority, Timestamp::default());
            prop_assert_eq!(key.band(), of_head.band());
        }
    }

    #[test]
    fn a_future_ready_key_becomes_claimable_exactly_at_its_time(
        entries in entries(), now in moment(), on_retry in on_retry(), share in 0.0..1.0_f64,
    ) {
        let entries = with_arrived_attachments(entries, now);
        let found = readiness(&entries, now, on_retry);
        let Some(key) = found.ready.clone().filter(|_| found.head.is_none()) else { return Ok(()) };
        prop_assert!(key.is_later());
        let time = key.time().unwrap();
        prop_assert!(time > now);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small time")]
        let between = now.as_millis() + (time.since(now).as_millis() as f64 * share) as u64;
        prop_assert_eq!(readiness(&entries, Timestamp::from_millis(between), on_retry), found);
        prop_assert!(readiness(&entries, time, on_retry).head.is_some());
    }

    #[test]
    fn a_ready_conversation_stays_ready_until_it_is_claimed(
        entries in entries(), now in moment(), later in moment(), on_retry in on_retry(),
    ) {
        let entries = with_arrived_attachments(entries, now);
        if readiness(&entries, now, on_retry).head.is_some() && later >= now {
            prop_assert!(readiness(&entries, later, on_retry).head.is_some());
        }
        prop_assert_eq!(readiness(&entries, END, on_retry).head.is_some(), !entries.is_empty());
    }

    #[test]
    fn ready_keys_sort_like_the_work_they_describe(
        one in (0..=100_u64, 0..LATEST), other in (0..=100_u64, 0..LATEST), at in 0..LATEST,
    ) {
        let key = |(priority, due)| {
            ReadyKey::due(Priority::new(priority).unwrap(), Timestamp::from_millis(due))
        };
        let rank = |(priority, due): (u64, u64)| (100 - priority, due);
        prop_assert_eq!(key(one).cmp(&key(other)), rank(one).cmp(&rank(other)));
        prop_assert!(key(one) < ReadyKey::at(Timestamp::from_millis(at)));
    }
}
