use super::*;

fn listed(observed: &[ObservedWorker]) -> Vec<ListedMachine> {
    let machine =
        |w: &ObservedWorker| ListedMachine { id: format!("m-{}", w.worker.id), worker: w.worker.id.clone() };
    observed.iter().map(machine).collect()
}

fn volume(id: &str, is_of_live_worker: bool, attached_to: Option<&str>) -> ListedVolume {
    ListedVolume { id: id.to_owned(), is_of_live_worker, attached_to: attached_to.map(str::to_owned) }
}

/// A live worker and a worker without a row, each with a machine and a volume.
fn with_a_lost_row() -> Observed {
    let workers = vec![assigned(1), assigned(2)];
    let machines = listed(&workers);
    let volumes = vec![volume("v-1", true, Some("m-w1")), volume("v-2", false, Some("m-w2"))];
    let workers = workers.into_iter().take(1).collect();
    Observed { workers, machines: Some(machines), volumes: Some(volumes), ..Observed::default() }
}

fn removals(plan: &Plan) -> Vec<Orphan> {
    let removed = plan.actions.iter().filter_map(|p| match &p.action {
        Action::Remove { orphan, .. } => Some(orphan.clone()),
        _ => None,
    });
    removed.collect()
}

fn machine(id: &str) -> Orphan {
    Orphan::Machine(id.to_owned())
}

#[test]
fn a_machine_without_a_row_is_removed_after_the_grace_time_and_then_its_volume() {
    let policies = Policies::default();
    let mut observed = with_a_lost_row();
    let first = plan(&observed, &policies, NOW);
    assert_eq!(removals(&first), []);
    let ends = NOW + policies.scaling.provider_grace;
    let wait = first.waits.iter().find(|w| w.subject == "machine m-w2").unwrap();
    assert_eq!(wait.until, Some(ends));

    observed.state.orphans = first.orphans;
    let just_before = plan(&observed, &policies, ends - Millis::new(1));
    assert_eq!(removals(&just_before), []);
    let after = plan(&observed, &policies, ends);
    assert_eq!(removals(&after), [machine("m-w2")], "the volume waits for the removal of its machine");
    assert!(after.actions.iter().any(|p| p.reason.contains("worker w2 has had no row")), "{after:?}");

    observed.machines.as_mut().unwrap().pop();
    observed.volumes.as_mut().unwrap()[1].attached_to = None;
    observed.state.orphans = after.orphans;
    assert_eq!(removals(&plan(&observed, &policies, ends)), [Orphan::Volume("v-2".to_owned())]);
}

#[test]
fn machine_and_volume_of_a_worker_with_a_row_are_no_orphans_in_any_status() {
    let policies = Policies::default();
    let draining = assigned(1).worker.drain(DrainReason::Idle, NOW, &policies).unwrap();
    let mut stopping = draining.clone().finish_drain(None, NOW).unwrap();
    stopping.assignment = None;
    for worker in [assigned(1).worker, draining, stopping] {
        let worker = ObservedWorker { worker, ..assigned(1) };
        let observed = Observed {
            machines: Some(listed(std::slice::from_ref(&worker))),
            volumes: Some(vec![volume("v", true, None)]),
            workers: vec![worker],
            ..Observed::default()
        };
        let plan = plan(&observed, &policies, NOW + Millis::from_days(1));
        assert_eq!((removals(&plan), plan.orphans.len()), (vec![], 0));
    }
}

#[test]
fn a_row_that_appears_within_the_grace_time_prevents_the_removal() {
    let policies = Policies::default();
    let mut observed = with_a_lost_row();
    observed.state.orphans = plan(&observed, &policies, NOW).orphans;
    observed.workers.push(assigned(2));
    observed.volumes.as_mut().unwrap()[1].is_of_live_worker = true;
    let plan = plan(&observed, &policies, NOW + policies.scaling.provider_grace);
    assert_eq!((removals(&plan), plan.orphans.len()), (vec![], 0));
}

#[test]
fn without_a_response_of_the_provider_no_orphan_is_removed_or_forgotten() {
    let policies = Policies::default();
    let mut observed = with_a_lost_row();
    let known = plan(&observed, &policies, NOW).orphans;
    assert_eq!(known.len(), 2);
    observed.state.orphans = known.clone();
    (observed.machines, observed.volumes) = (None, None);
    let blind = plan(&observed, &policies, NOW + Millis::from_days(1));
    assert_eq!((removals(&blind), &blind.orphans), (vec![], &known));
    observed.machines = Some(vec![]);
    let half = plan(&observed, &policies, NOW + Millis::from_days(1));
    assert_eq!(half.orphans.keys().collect::<Vec<_>>(), [&Orphan::Volume("v-2".to_owned())]);
}

/// `count` volumes without a worker, known as orphans since `NOW`.
fn orphan_volumes(count: usize) -> Observed {
    let volumes = (0..count).map(|n| volume(&format!("v-{n:03}"), false, None)).collect();
    let mut observed = Observed { volumes: Some(volumes), ..Observed::default() };
    observed.state.orphans = plan(&observed, &Policies::default(), NOW).orphans;
    observed
}

#[test]
fn each_run_removes_some_of_many_orphans_and_a_failed_removal_does_not_delay_the_others() {
    let policies = Policies::default();
    let mut observed = orphan_volumes(50);
    let due = NOW + policies.scaling.provider_grace;
    let mut tried = Vec::new();
    for _ in 0..3 {
        let removed = removals(&plan(&observed, &policies, due));
        assert_eq!(removed.len(), 20);
        observed.state.tried = removed.last().cloned();
        tried.extend(removed);
    }
    let volume = |n: usize| Orphan::Volume(format!("v-{:03}", n % 50));
    assert_eq!(
        tried,
        (0..60).map(volume).collect::<Vec<_>>(),
        "none of them is gone, so the removals start again"
    );
}

#[test]
fn at_most_200_orphans_are_stored() {
    let mut observed = orphan_volumes(1_000);
    assert_eq!(observed.state.orphans.len(), 200);
    let known = observed.state.orphans.clone();
    observed.volumes.as_mut().unwrap().reverse();
    assert_eq!(plan(&observed, &Policies::default(), NOW).orphans, known, "known orphans keep their places");
}

#[test]
fn an_orphan_past_its_retry_time_is_tried_with_each_full_listing() {
    let policies = Policies::default();
    let mut observed = orphan_volumes(1);
    let stuck = NOW + policies.scaling.provider_grace + Millis::from_secs(1_800);
    observed.state.last_full_listing_at = Some(stuck);
    observed.state.stuck_tried_at = Some(stuck);
    assert!(observed.state.wants_full_listing(&policies, Timestamp::from_millis(stuck.as_millis() - 1)));
    assert!(!observed.state.wants_full_listing(&policies, stuck));
    let left = plan(&observed, &policies, stuck);
    let next = stuck + Millis::from_secs(600);
    assert_eq!((removals(&left), left.waits[0].until), (vec![], Some(next)));
    assert!(observed.state.wants_full_listing(&policies, next));
    assert_eq!(removals(&plan(&observed, &policies, next)).len(), 1);
}

#[test]
fn an_orphan_past_its_retry_time_is_tried_every_ten_minutes_even_when_every_run_lists_for_a_newer_one() {
    let policies = Policies::default();
    let mut observed = orphan_volumes(1);
    let old = Orphan::Volume("v-000".to_owned());
    let mut now = NOW + policies.scaling.provider_grace + Millis::from_secs(1_800);
    let mut tried = Vec::new();
    for minute in 0..30 {
        let young = format!("w-{minute}");
        observed.volumes.as_mut().unwrap().truncate(1);
        observed.volumes.as_mut().unwrap().push(volume(&young, false, None));
        assert!(minute == 0 || observed.state.wants_full_listing(&policies, now));
        let plan = plan(&observed, &policies, now);
        if removals(&plan).contains(&old) {
            tried.push(minute);
        }
        // The state that a run with a full listing leaves.
        observed.state.orphans = plan.orphans.clone();
        observed.state.last_full_listing_at = Some(now);
        let removals = plan.actions.iter().filter_map(|p| match &p.action {
            Action::Remove { orphan, since } => Some((orphan, *since)),
            _ => None,
        });
        observed.state.note_tried(&removals.collect::<Vec<_>>(), &policies, now);
        now = now + Millis::from_secs(60);
    }
    assert_eq!(tried, [0, 10, 20]);
}

#[test]
fn the_record_of_removals_is_cleared_when_no_orphan_is_left() {
    let policies = Policies::default();
    let (young, old) = (machine("m-young"), machine("m-old"));
    let now = NOW + Millis::from_days(1);
    let mut state = ReconcileState {
        orphans: [(young.clone(), now), (old.clone(), NOW)].into(),
        ..ReconcileState::default()
    };
    state.note_tried(&[(&young, now)], &policies, now);
    assert_eq!((state.tried.as_ref(), state.stuck_tried_at), (Some(&young), None));
    state.note_tried(&[(&old, NOW)], &policies, now);
    assert_eq!((state.tried.as_ref(), state.stuck_tried_at), (Some(&old), Some(now)));
    state.note_tried(&[], &policies, now + Millis::new(1));
    assert_eq!((state.tried.as_ref(), state.stuck_tried_at), (Some(&old), Some(now)), "nothing was tried");
    state.orphans.clear();
    state.note_tried(&[], &policies, now);
    assert_eq!(state, ReconcileState::default());
}

#[test]
fn full_lists_are_requested_every_ten_minutes_and_while_an_orphan_is_known() {
    let policies = Policies::default();
    let mut state = ReconcileState::default();
    assert!(state.wants_full_listing(&policies, NOW), "there was no full listing yet");
    state.last_full_listing_at = Some(NOW);
    let after = |secs| NOW + Millis::from_secs(secs);
    assert!(
        !state.wants_full_listing(&policies, after(599)) && state.wants_full_listing(&policies, after(600))
    );
    state.orphans = [(machine("m"), NOW)].into();
    assert!(state.wants_full_listing(&policies, NOW));
}
