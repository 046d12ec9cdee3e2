use super::*;

const MINUTE: u64 = 60;

fn waiting(count: usize, state: ReconcileState) -> Observed {
    Observed { ready: (0..count).map(|n| ready(n, NOW)).collect(), state, ..Observed::default() }
}

fn failed(times: usize, at: Timestamp) -> ReconcileState {
    let mut state = ReconcileState::default();
    for _ in 0..times {
        state.count_failures(1, at);
    }
    state
}

fn spawns(plan: &Plan) -> usize {
    plan.actions.iter().filter(|p| matches!(p.action, Action::Spawn { .. })).count()
}

#[test]
fn three_failures_in_a_row_make_a_pause_that_doubles_up_to_ten_minutes() {
    let mut state = ReconcileState::default();
    for minutes in [0, 0, 1, 2, 4, 8, 10, 10] {
        state.count_failures(1, NOW);
        let expected = (minutes > 0).then(|| NOW + Millis::from_secs(minutes * MINUTE));
        assert_eq!(state.cool_down_ends(), expected, "after {} failures", state.failures);
    }
    state.count_failures(0, NOW + Millis::new(1));
    assert_eq!((state.failures, state.failed_at), (8, Some(NOW)), "a run without a spawn says nothing");
}

#[test]
fn a_run_in_which_many_fail_makes_the_first_pause_and_the_next_one_doubles_it() {
    let mut state = ReconcileState::default();
    for minutes in [1, 2, 4] {
        state.count_failures(usize::MAX, NOW);
        assert_eq!(state.cool_down_ends(), Some(NOW + Millis::from_secs(minutes * MINUTE)));
    }
    let mut two = failed(2, NOW);
    two.count_failures(100, NOW);
    assert_eq!(two, failed(3, NOW));
}

#[test]
fn a_provider_that_asks_for_a_pause_gets_it_and_has_not_failed() {
    let policies = Policies::default();
    let (asked, ends) = (Millis::from_secs(90), NOW + Millis::from_secs(90));
    let mut state = ReconcileState::default();
    state.pause_spawns(Some(asked), NOW);
    assert_eq!((state.failures, state.cool_down_ends()), (0, None));
    let early = plan(&waiting(2, state.clone()), &policies, ends - Millis::new(1));
    assert_eq!((spawns(&early), early.waits[0].until), (0, Some(ends)));
    assert_eq!(spawns(&plan(&waiting(2, state.clone()), &policies, ends)), 2);
    state.pause_spawns(Some(Millis::new(1)), NOW);
    assert_eq!(state.rests_until, Some(ends), "the longer one counts");
    state.pause_spawns(None, ends);
    assert_eq!(state, ReconcileState::default());
}

#[test]
fn a_provider_that_wants_to_be_asked_again_in_a_second_is_left_in_peace_for_a_minute() {
    let policies = Policies::default();
    let mut state = ReconcileState::default();
    state.pause_spawns(Some(Millis::from_secs(1)), NOW);
    let ends = NOW + Millis::from_secs(MINUTE);
    assert_eq!(state.rests_until, Some(ends));
    assert_eq!(spawns(&plan(&waiting(1, state.clone()), &policies, ends - Millis::new(1))), 0);
    assert_eq!(spawns(&plan(&waiting(1, state), &policies, ends)), 1);
}

/// A worker of what would be started today that was registered then; it has said something or not.
fn started(at: Timestamp, seen_at: Option<Timestamp>) -> ObservedWorker {
    let mut worker = Worker::registered(WorkerId::parse("w-new").unwrap(), "local".into(), at);
    (worker.image, worker.seen_at) = (Some("new".to_owned()), seen_at);
    ObservedWorker { worker, conversation: None, is_anothers: false, machine: MachineView::Running }
}

fn today() -> Option<Image> {
    Some(Image { provider: "local".to_owned(), app: "app".to_owned(), name: "new".to_owned() })
}

#[test]
fn failures_are_over_with_the_first_word_of_a_worker_that_was_started_after_them() {
    let now = NOW + Millis::from_secs(MINUTE);
    let later = NOW + Millis::new(1);
    let failures = |worker: ObservedWorker, image| {
        let observed = Observed { workers: vec![worker], image, ..waiting(0, failed(3, NOW)) };
        observed.state_now().failures
    };
    assert_eq!(failures(started(later, None), today()), 3, "that it was started says nothing");
    assert_eq!(failures(started(later, Some(now)), today()), 0);
    assert_eq!(failures(started(NOW, Some(now)), today()), 3, "it came up before them");
    assert_eq!(failures(started(later, Some(now)), None), 3);
    let mut by_hand = started(later, Some(now));
    by_hand.worker.provider = "manual".to_owned();
    assert_eq!(failures(by_hand, today()), 3, "nobody had to start it");
}

#[test]
fn after_a_cool_down_nobody_is_started_beside_the_one_that_is_tried() {
    let policies = Policies::default();
    let over = NOW + Millis::from_secs(MINUTE);
    let mut observed =
        Observed { workers: vec![started(over, None)], image: today(), ..waiting(5, failed(3, NOW)) };
    let tried = plan(&observed, &policies, over);
    let wait = tried.waits.iter().find(|w| w.subject == "spawning").unwrap();
    assert_eq!((spawns(&tried), &*wait.waits_for), (0, "the worker that is tried to come up"));
    observed.workers[0].worker.seen_at = Some(over);
    assert_eq!(spawns(&plan(&observed, &policies, over)), 3, "it has come up");
}

#[test]
fn a_worker_that_is_given_up_before_its_first_word_is_a_failed_spawn() {
    let with = |seen| Observed { workers: vec![started(NOW, seen)], image: today(), ..Observed::default() };
    let drain = |reason| Action::Drain { worker: WorkerId::parse("w-new").unwrap(), reason };
    for (reason, counts) in
        [(DrainReason::Stale, true), (DrainReason::MachineGone, true), (DrainReason::Operator, false)]
    {
        assert_eq!(with(None).drains_silent_worker(&drain(reason)), counts, "{reason}");
        assert!(!with(Some(NOW)).drains_silent_worker(&drain(reason)), "{reason}");
    }
    let teardown = Action::Teardown { worker: WorkerId::parse("w-new").unwrap() };
    assert!(!with(None).drains_silent_worker(&teardown), "it is counted once");
}

#[test]
fn nothing_is_spawned_in_a_cool_down_and_the_plan_says_until_when() {
    let policies = Policies::default();
    let cooling = plan(&waiting(2, failed(3, NOW)), &policies, NOW + Millis::from_secs(59));
    assert_eq!((spawns(&cooling), cooling.unserved), (0, 2));
    let wait = Wait {
        subject: "spawning".to_owned(),
        waits_for: "the provider, which failed 3 times in a row".to_owned(),
        until: Some(NOW + Millis::from_secs(MINUTE)),
    };
    assert_eq!(cooling.waits, [wait]);
}

#[test]
fn after_a_cool_down_one_worker_is_tried_before_the_others() {
    let policies = Policies::default();
    let over = NOW + Millis::from_secs(MINUTE);
    assert_eq!(spawns(&plan(&waiting(5, failed(3, NOW)), &policies, over)), 1);
    assert_eq!(spawns(&plan(&waiting(5, failed(2, NOW)), &policies, NOW)), 3, "two are no reason");
}

#[test]
fn in_a_cool_down_workers_that_are_there_are_asked_to_take_others() {
    let policies = Policies::default();
    let observed = Observed { workers: vec![assigned(9)], ..waiting(1, failed(3, NOW)) };
    let plan = plan(&observed, &policies, NOW + Millis::new(1));
    assert_eq!(actions(&plan), [Action::AskToSwitch { conversation: key(9) }]);
}

#[test]
fn spare_workers_count_towards_the_step_and_wait_in_a_cool_down_too() {
    let mut policies = Policies::default();
    policies.scaling.min_idle_workers = 5;
    assert_eq!(spawns(&plan(&waiting(1, ReconcileState::default()), &policies, NOW)), 3);
    assert_eq!(spawns(&plan(&waiting(1, failed(3, NOW)), &policies, NOW)), 0);
}
