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
fn three_failures_in_a_row_start_a_cool_down_that_doubles_up_to_ten_minutes() {
    let mut state = ReconcileState::default();
    for minutes in [0, 0, 1, 2, 4, 8, 10, 10] {
        state.count_failures(1, NOW);
        let expected = (minutes > 0).then(|| NOW + Millis::from_secs(minutes * MINUTE));
        assert_eq!(state.cool_down_ends(), expected, "after {} failures", state.failures);
    }
    state.count_failures(0, NOW + Millis::new(1));
    assert_eq!(
        (state.failures, state.failed_at),
        (8, Some(NOW)),
        "a run without a failed spawn changes nothing"
    );
}

#[test]
fn many_failures_in_one_run_start_one_cool_down_and_the_next_run_doubles_it() {
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
fn a_pause_that_the_provider_asks_for_is_no_failure() {
    let policies = Policies::default();
    let (asked, ends) = (Millis::from_secs(90), NOW + Millis::from_secs(90));
    let mut state = ReconcileState::default();
    state.pause_spawns(Some(asked), NOW);
    assert_eq!((state.failures, state.cool_down_ends()), (0, None));
    let early = plan(&waiting(2, state.clone()), &policies, ends - Millis::new(1));
    assert_eq!((spawns(&early), early.waits[0].until), (0, Some(ends)));
    assert_eq!(spawns(&plan(&waiting(2, state.clone()), &policies, ends)), 2);
    state.pause_spawns(Some(Millis::new(1)), NOW);
    assert_eq!(state.paused_until, Some(ends), "the longer pause counts");
    state.pause_spawns(None, ends);
    assert_eq!(state, ReconcileState::default());
}

#[test]
fn a_pause_that_the_provider_asks_for_lasts_at_least_a_minute() {
    let policies = Policies::default();
    let mut state = ReconcileState::default();
    state.pause_spawns(Some(Millis::from_secs(1)), NOW);
    let ends = NOW + Millis::from_secs(MINUTE);
    assert_eq!(state.paused_until, Some(ends));
    assert_eq!(spawns(&plan(&waiting(1, state.clone()), &policies, ends - Millis::new(1))), 0);
    assert_eq!(spawns(&plan(&waiting(1, state), &policies, ends)), 1);
}

/// A worker of the current image, registered `at`, with its last sign of life.
fn started(at: Timestamp, seen_at: Option<Timestamp>) -> ObservedWorker {
    let mut worker = Worker::registered(WorkerId::parse("w-new").unwrap(), "local".into(), at);
    (worker.image, worker.seen_at) = (Some("new".to_owned()), seen_at);
    ObservedWorker { worker, conversation: None, has_other_owner: false, machine: MachineView::Running }
}

fn current_image() -> Option<Image> {
    Some(Image { provider: "local".to_owned(), app: "app".to_owned(), name: "new".to_owned() })
}

#[test]
fn the_first_sign_of_life_of_a_worker_started_after_the_failures_ends_them() {
    let now = NOW + Millis::from_secs(MINUTE);
    let later = NOW + Millis::new(1);
    let failures = |worker: ObservedWorker, image| {
        let observed = Observed { workers: vec![worker], image, ..waiting(0, failed(3, NOW)) };
        observed.state_now().failures
    };
    assert_eq!(failures(started(later, None), current_image()), 3, "its start alone is no sign of life");
    assert_eq!(failures(started(later, Some(now)), current_image()), 0);
    assert_eq!(failures(started(NOW, Some(now)), current_image()), 3, "it was started before the failures");
    assert_eq!(failures(started(later, Some(now)), None), 3);
    let mut by_hand = started(later, Some(now));
    by_hand.worker.provider = "manual".to_owned();
    assert_eq!(failures(by_hand, current_image()), 3, "the provider did not start it");
}

#[test]
fn after_a_cool_down_no_worker_is_started_while_the_test_worker_is_silent() {
    let policies = Policies::default();
    let over = NOW + Millis::from_secs(MINUTE);
    let mut observed =
        Observed { workers: vec![started(over, None)], image: current_image(), ..waiting(5, failed(3, NOW)) };
    let silent = plan(&observed, &policies, over);
    let wait = silent.waits.iter().find(|w| w.subject == "spawning").unwrap();
    assert_eq!(
        (spawns(&silent), &*wait.waits_for),
        (0, "a sign of life of the worker that was started as a test")
    );
    observed.workers[0].worker.seen_at = Some(over);
    assert_eq!(spawns(&plan(&observed, &policies, over)), 3, "it has come up");
}

#[test]
fn a_worker_that_is_given_up_before_its_first_sign_of_life_is_a_failed_spawn() {
    let with =
        |seen| Observed { workers: vec![started(NOW, seen)], image: current_image(), ..Observed::default() };
    let drain = |reason| Action::Drain { worker: WorkerId::parse("w-new").unwrap(), reason };
    for (reason, counts) in
        [(DrainReason::Stale, true), (DrainReason::MachineGone, true), (DrainReason::Operator, false)]
    {
        assert_eq!(with(None).drains_silent_worker(&drain(reason)), counts, "{reason}");
        assert!(!with(Some(NOW)).drains_silent_worker(&drain(reason)), "{reason}");
    }
    let teardown = Action::Teardown { worker: WorkerId::parse("w-new").unwrap() };
    assert!(!with(None).drains_silent_worker(&teardown), "the drain was counted already");
}

#[test]
fn no_worker_is_spawned_in_a_cool_down_and_the_plan_shows_its_end() {
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
fn after_a_cool_down_one_worker_is_started_as_a_test() {
    let policies = Policies::default();
    let over = NOW + Millis::from_secs(MINUTE);
    assert_eq!(spawns(&plan(&waiting(5, failed(3, NOW)), &policies, over)), 1);
    assert_eq!(
        spawns(&plan(&waiting(5, failed(2, NOW)), &policies, NOW)),
        3,
        "two failures start no cool-down"
    );
}

#[test]
fn in_a_cool_down_existing_owners_are_asked_to_release_their_conversations() {
    let policies = Policies::default();
    let observed = Observed { workers: vec![assigned(9)], ..waiting(1, failed(3, NOW)) };
    let plan = plan(&observed, &policies, NOW + Millis::new(1));
    assert_eq!(actions(&plan), [Action::AskToSwitch { conversation: key(9) }]);
}

#[test]
fn spare_workers_count_towards_the_step_and_are_not_spawned_in_a_cool_down() {
    let mut policies = Policies::default();
    policies.scaling.min_idle_workers = 5;
    assert_eq!(spawns(&plan(&waiting(1, ReconcileState::default()), &policies, NOW)), 3);
    assert_eq!(spawns(&plan(&waiting(1, failed(3, NOW)), &policies, NOW)), 0);
}
