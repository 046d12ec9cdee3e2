use super::*;

fn image(name: &str) -> Image {
    Image { provider: "local".to_owned(), app: "app".to_owned(), name: name.to_owned() }
}

/// A worker of the image `name` that has been quiet since `NOW`.
fn of_image(n: usize, name: Option<&str>) -> ObservedWorker {
    let mut observed = assigned(n);
    observed.worker.image = name.map(str::to_owned);
    observed
}

fn drains(plan: &Plan) -> Vec<(String, DrainReason)> {
    let drained = plan.actions.iter().filter_map(|p| match &p.action {
        Action::Drain { worker, reason } => Some((worker.to_string(), *reason)),
        _ => None,
    });
    drained.collect()
}

fn outdated(workers: &[&str]) -> Vec<(String, DrainReason)> {
    workers.iter().map(|w| ((*w).to_owned(), DrainReason::Outdated)).collect()
}

#[test]
fn a_quiet_worker_of_another_image_is_replaced_and_a_busy_one_stays() {
    let policies = Policies::default();
    let quiet_at = NOW + policies.scaling.switch_after_quiet;
    let workers = vec![
        of_image(1, Some("old")),
        of_image(2, Some("new")),
        running(of_image(3, Some("old")), &policies),
    ];
    let observed = Observed { workers, image: Some(image("new")), ..Observed::default() };
    let early = plan(&observed, &policies, quiet_at - Millis::new(1));
    assert_eq!(drains(&early), [], "it has just had work");
    let wait = early.waits.iter().find(|w| w.subject == "worker w1").unwrap();
    assert_eq!(wait.until, Some(quiet_at));
    assert!(wait.waits_for.contains("it runs old, the config names new"), "{wait:?}");
    assert_eq!(drains(&plan(&observed, &policies, quiet_at)), outdated(&["w1"]));
}

#[test]
fn at_most_one_spawn_step_of_workers_of_another_image_leave_at_once() {
    let policies = Policies::default();
    let now = NOW + policies.scaling.switch_after_quiet;
    let mut workers: Vec<_> = (1..=5).map(|n| of_image(n, Some("old"))).collect();
    let of = |workers: &Vec<ObservedWorker>| Observed {
        workers: workers.clone(),
        image: Some(image("new")),
        ..Observed::default()
    };
    assert_eq!(drains(&plan(&of(&workers), &policies, now)), outdated(&["w1", "w2", "w3"]));
    for leaving in &mut workers[..2] {
        leaving.worker = leaving.worker.clone().drain(DrainReason::Outdated, now, &policies).unwrap();
    }
    assert_eq!(drains(&plan(&of(&workers), &policies, now)), outdated(&["w3"]), "two are draining already");
    let mut cooling = of(&workers);
    cooling.state.count_failures(3, now);
    assert_eq!(drains(&plan(&cooling, &policies, now)), [], "no worker would replace them");
}

#[test]
fn workers_of_another_provider_or_without_a_known_image_stay() {
    let policies = Policies::default();
    let mut by_hand = of_image(1, None);
    by_hand.worker.provider = "manual".to_owned();
    let mut elsewhere = of_image(2, Some("old"));
    elsewhere.worker.provider = "fly".to_owned();
    let workers = vec![by_hand, elsewhere, of_image(3, None)];
    let now = NOW + policies.scaling.switch_after_quiet;
    let with = |image| Observed { workers: workers.clone(), image, ..Observed::default() };
    assert_eq!(drains(&plan(&with(Some(image("new"))), &policies, now)), []);
    let old = Observed { workers: vec![of_image(4, Some("old"))], ..Observed::default() };
    assert_eq!(
        drains(&plan(&old, &policies, now)),
        [],
        "without an image for new workers, no worker is replaced"
    );
}

#[test]
fn a_worker_in_an_app_that_the_config_no_longer_names_is_replaced() {
    let policies = Policies::default();
    let mut worker = of_image(1, Some("new"));
    worker.worker.machine =
        Some(crate::worker::Machine { app: "before".into(), id: "m".into(), region: "fra".into() });
    let observed = Observed { workers: vec![worker], image: Some(image("new")), ..Observed::default() };
    let now = NOW + policies.scaling.switch_after_quiet;
    assert_eq!(drains(&plan(&observed, &policies, now)), outdated(&["w1"]));
}

#[test]
fn workers_that_have_not_come_up_count_towards_the_replacements_of_one_step() {
    let policies = Policies::default();
    let now = NOW + policies.scaling.switch_after_quiet;
    let new = |n, seen_at| {
        let mut new = of_image(n, Some("new"));
        (new.conversation, new.worker.assignment, new.worker.seen_at) = (None, None, seen_at);
        new
    };
    let with = |new: Vec<ObservedWorker>| {
        let old = (1..=5).map(|n| of_image(n, Some("old")));
        Observed { workers: old.chain(new).collect(), image: Some(image("new")), ..Observed::default() }
    };
    let silent = vec![new(6, None), new(7, None), new(8, None)];
    assert_eq!(drains(&plan(&with(silent), &policies, now)), []);
    let one_spoke = vec![new(6, Some(now)), new(7, None), new(8, None)];
    assert_eq!(drains(&plan(&with(one_spoke), &policies, now)), outdated(&["w1"]));
}

#[test]
fn after_a_cool_down_no_worker_of_another_image_leaves_while_a_conversation_waits() {
    let policies = Policies::default();
    let mut observed = Observed {
        workers: vec![of_image(1, Some("old")), of_image(2, Some("old"))],
        image: Some(image("new")),
        ready: vec![ready(3, NOW)],
        ..Observed::default()
    };
    observed.state.count_failures(3, NOW);
    let over = NOW + Millis::from_secs(60);
    assert_eq!(drains(&plan(&observed, &policies, over)), []);
    observed.ready.clear();
    assert_eq!(drains(&plan(&observed, &policies, over)), outdated(&["w1"]));
}

/// Workers whose tokens are valid for `left`, and that have been quiet for `quiet`; and the time at which this is so.
fn with_token_left(workers: Vec<ObservedWorker>, left: Millis, quiet: Millis) -> (Observed, Timestamp) {
    let now = workers[0].worker.token_ends_at() - left;
    let quiet_for = |mut worker: ObservedWorker| {
        let conversation = worker.conversation.as_mut().unwrap();
        conversation.active_at = now - quiet;
        conversation.owner.as_mut().unwrap().seen_at = Some(now);
        if let Some(lease) = &mut conversation.lease {
            lease.expires_at = now + Policies::default().lease.lease;
        }
        worker
    };
    (Observed { workers: workers.into_iter().map(quiet_for).collect(), ..Observed::default() }, now)
}

#[test]
fn a_quiet_worker_leaves_on_the_last_day_of_its_token_and_a_busy_one_before_the_last_hour() {
    let policies = Policies::default();
    let quiet = policies.scaling.switch_after_quiet;
    let at = |worker: &ObservedWorker, left: Millis, quiet: Millis| {
        let (observed, now) = with_token_left(vec![worker.clone()], left, quiet);
        drains(&plan(&observed, &policies, now))
    };
    let leaves = [("w1".to_owned(), DrainReason::TokenEnds)];
    let day = Millis::from_days(1);
    let last = Millis::new(3_600_000 + policies.scaling.drain_timeout.as_millis());
    let less = |time: Millis| Millis::new(time.as_millis() - 1);
    assert_eq!(at(&assigned(1), day, quiet), []);
    assert_eq!(at(&assigned(1), less(day), less(quiet)), [], "it has just had work");
    assert_eq!(at(&assigned(1), less(day), quiet), leaves);
    let busy = running(assigned(1), &policies);
    assert_eq!(at(&busy, less(day), quiet), []);
    assert_eq!(at(&busy, last, quiet), []);
    assert_eq!(at(&busy, less(last), quiet), leaves);
}

#[test]
fn of_many_workers_whose_tokens_end_together_one_step_leaves_at_a_time() {
    let policies = Policies::default();
    let workers =
        |left| with_token_left((1..=5).map(assigned).collect(), left, policies.scaling.switch_after_quiet);
    let (observed, now) = workers(Millis::from_secs(2 * 3_600));
    assert_eq!(drains(&plan(&observed, &policies, now)).len(), 3);
    let (observed, now) = workers(Millis::from_secs(3_600));
    assert_eq!(drains(&plan(&observed, &policies, now)).len(), 5, "there is no time left");
}

#[test]
fn of_two_workers_with_the_same_conversation_the_owner_stays_and_the_other_one_drains() {
    let policies = Policies::default();
    let owner = running(assigned(1), &policies);
    let mut other = assigned(2);
    other.worker.assignment = owner.worker.assignment.clone();
    other.worker.seen_at = Some(NOW);
    other.conversation = None;
    other.has_other_owner = true;
    let observed = Observed { workers: vec![other, owner], ..Observed::default() };
    assert_eq!(actions(&plan(&observed, &policies, NOW)), [], "a replica may lag");
    let worker = WorkerId::parse("w2").unwrap();
    let expected = [
        Action::Drain { worker: worker.clone(), reason: DrainReason::Duplicate },
        Action::FinishDrain { worker: worker.clone(), gone: false },
        Action::Teardown { worker },
    ];
    assert_eq!(actions(&plan(&observed, &policies, NOW + crate::time::MAX_REPLICATION_LAG)), expected);
}

#[test]
fn a_spare_worker_that_drains_is_replaced_before_it_has_left() {
    let mut policies = Policies::default();
    policies.scaling.min_idle_workers = 1;
    let mut leaving = assigned(1);
    leaving.worker = leaving.worker.drain(DrainReason::Operator, NOW, &policies).unwrap();
    let leaving = owing_snapshot(leaving);
    let mut observed = Observed { workers: vec![leaving], ..Observed::default() };
    assert_eq!(actions(&plan(&observed, &policies, NOW)), [Action::Spawn { conversation: None }]);
    policies.scaling.max_workers = 1;
    assert_eq!(actions(&plan(&observed, &policies, NOW)), [], "the pool is full until it has left");
    observed.workers.clear();
    assert_eq!(actions(&plan(&observed, &policies, NOW)), [Action::Spawn { conversation: None }]);
}
