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
    assert_eq!(head(&queue, 200, OnRetry::Overtake), Some("a"), "b was queued again last, and was due later");
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
