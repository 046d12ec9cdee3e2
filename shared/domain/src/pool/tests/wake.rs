use super::*;

fn free(id: &str) -> ObservedWorker {
    ObservedWorker {
        worker: Worker::registered(WorkerId::parse(id).unwrap(), "local".into(), NOW),
        conversation: None,
        is_anothers: false,
        machine: MachineView::Running,
    }
}

fn told(id: &str, wake_at: Timestamp) -> ObservedWorker {
    let mut told = free(id);
    told.worker.wake_at = Some(wake_at);
    told
}

fn scheduled(n: usize, due: Timestamp) -> ReadyConversation {
    ReadyConversation { key: key(n), ready: ReadyKey::at(due) }
}

fn wake(id: &str, at: Timestamp) -> Action {
    Action::Wake { worker: WorkerId::parse(id).unwrap(), at }
}

fn planned(workers: Vec<ObservedWorker>, ready: Vec<ReadyConversation>) -> Vec<Action> {
    planned_at(NOW, workers, ready)
}

fn planned_at(now: Timestamp, workers: Vec<ObservedWorker>, ready: Vec<ReadyConversation>) -> Vec<Action> {
    actions(&plan(&Observed { workers, ready, ..Observed::default() }, &Policies::default(), now))
}

#[test]
fn as_many_free_workers_are_woken_as_conversations_wait() {
    let workers = || vec![free("a"), free("b"), free("c")];
    let waiting = vec![ready(1, NOW - Millis::new(5)), ready(2, NOW)];
    assert_eq!(planned(workers(), waiting), [wake("a", NOW), wake("b", NOW)]);
    assert_eq!(planned(workers(), vec![]), []);
}

#[test]
fn a_worker_is_woken_when_what_waits_for_its_time_is_due_and_not_before() {
    let due = NOW + SPAWN_AHEAD;
    assert_eq!(planned(vec![free("a")], vec![scheduled(1, due)]), [wake("a", due)]);
    assert_eq!(planned(vec![free("a")], vec![scheduled(1, due + Millis::new(1))]), []);
}

#[test]
fn one_that_has_been_told_is_told_again_only_when_it_may_have_looked_too_early() {
    let pause = Policies::default().poll.idle;
    for (told_at, is_told_again) in
        [(NOW, false), (NOW - pause, false), (NOW - pause - Millis::new(1), true), (NOW + pause, true)]
    {
        let expected = if is_told_again { vec![wake("a", NOW)] } else { vec![] };
        assert_eq!(planned(vec![told("a", told_at)], vec![ready(1, NOW)]), expected, "{told_at}");
    }
    // What was due in the meantime is what it was told of.
    let due = NOW + SPAWN_AHEAD;
    assert_eq!(planned_at(due + pause, vec![told("a", due)], vec![scheduled(1, due)]).len(), 1, "promoted");
}

#[test]
fn who_has_been_told_counts_for_one_conversation_and_the_others_are_told_of_the_rest() {
    let (later, workers) = (NOW + SPAWN_AHEAD, || vec![free("a"), told("b", NOW), free("c")]);
    assert_eq!(planned(workers(), vec![ready(1, NOW)]), []);
    assert_eq!(planned(workers(), vec![ready(1, NOW), scheduled(2, later)]), [wake("a", later)]);
}

#[test]
fn who_spoke_last_is_told_first() {
    let mut spoke = free("b");
    spoke.worker.seen_at = Some(NOW);
    assert_eq!(planned(vec![free("a"), spoke], vec![ready(1, NOW)]), [wake("b", NOW)]);
}

#[test]
fn one_that_leaves_or_may_not_claim_is_not_woken() {
    let due = NOW + Policies::default().scaling.idle_timeout;
    let mut idle = free("a");
    idle.worker.seen_at = Some(due);
    let mut stopping = free("b");
    stopping.worker.registered_at = due;
    stopping.worker.quiet_since = due;
    stopping.machine = MachineView::NotRunning;
    let planned = planned_at(due, vec![idle, stopping], vec![ready(1, due)]);
    assert!(!planned.iter().any(|a| matches!(a, Action::Wake { .. })), "{planned:?}");
}

#[test]
fn free_workers_are_told_of_what_nobody_is_started_for() {
    let waiting: Vec<_> = (1..=3).map(|n| ready(n, NOW - Millis::new(10 - n as u64))).collect();
    let spawned = [1, 2].map(|n| Action::Spawn { conversation: Some(key(n)) });
    let later = scheduled(4, NOW + SPAWN_AHEAD);
    let mut observed = Observed {
        workers: vec![free("a"), free("b")],
        ready: waiting.into_iter().chain([later]).collect(),
        ..Observed::default()
    };
    let all = |observed: &Observed| actions(&plan(observed, &Policies::default(), NOW));
    let at_once = [spawned.to_vec(), vec![wake("a", NOW), wake("b", NOW)]].concat();
    assert_eq!(all(&observed), at_once, "where nobody can be started, they are there for the oldest");
    observed.image = Some(Image { provider: "manual".into(), app: String::new(), name: String::new() });
    let in_turn = [spawned.to_vec(), vec![wake("a", NOW), wake("b", NOW + SPAWN_AHEAD)]].concat();
    assert_eq!(all(&observed), in_turn);
}
