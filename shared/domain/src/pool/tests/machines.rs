use super::*;

#[test]
fn the_worker_of_a_dead_machine_is_recovered_and_torn_down_in_one_run() {
    let policies = Policies::default();
    let mut dead = running(assigned(1), &policies);
    dead.machine = MachineView::NotRunning;
    let worker = dead.worker.id.clone();
    let plan = plan(&Observed { workers: vec![dead], ..Observed::default() }, &policies, NOW);
    let expected = [
        recovered(RecoverCause::WorkerGone),
        Action::Drain { worker: worker.clone(), reason: DrainReason::MachineGone },
        Action::FinishDrain { worker: worker.clone(), gone: true },
        Action::Teardown { worker },
    ];
    assert_eq!(actions(&plan), expected);
}

#[test]
fn a_worker_whose_machine_is_stopping_finishes_its_message_and_its_files() {
    let policies = Policies::default();
    let mut busy = running(assigned(1), &policies);
    busy.machine = MachineView::Stopping;
    let worker = busy.worker.id.clone();
    let observed =
        |worker: &ObservedWorker| Observed { workers: vec![worker.clone()], ..Observed::default() };
    let drained = [Action::Drain { worker: worker.clone(), reason: DrainReason::Signal }];
    assert_eq!(actions(&plan(&observed(&busy), &policies, NOW)), drained);

    busy.worker = busy.worker.drain(DrainReason::Signal, NOW, &policies).unwrap();
    let finishes = plan(&observed(&busy), &policies, NOW + Millis::new(1));
    assert_eq!((finishes.actions.len(), &*finishes.waits[0].waits_for), (0, "message m to end"));
    let mut owes = busy.clone();
    owes.conversation.as_mut().unwrap().lease = None;
    let uploads = plan(&observed(&owes), &policies, NOW + Millis::new(1));
    assert_eq!((uploads.actions.len(), &*uploads.waits[0].waits_for), (0, "its final snapshot"));
    let late = NOW + policies.scaling.drain_timeout;
    let over = [
        Action::FinishDrain { worker: worker.clone(), gone: false },
        Action::Teardown { worker: worker.clone() },
    ];
    assert_eq!(actions(&plan(&observed(&owes), &policies, late)), over);
    busy.machine = MachineView::NotRunning;
    let ended = actions(&plan(&observed(&busy), &policies, NOW + Millis::new(1)));
    assert_eq!(ended[..2], [recovered(RecoverCause::WorkerGone), Action::FinishDrain { worker, gone: true }]);
}

#[test]
fn a_worker_on_a_stopping_machine_covers_no_conversation() {
    let policies = Policies::default();
    let mut free = assigned(1);
    (free.worker.assignment, free.conversation) = (None, None);
    free.machine = MachineView::Stopping;
    let observed = Observed { workers: vec![free], ready: vec![ready(2, NOW)], ..Observed::default() };
    assert!(
        actions(&plan(&observed, &policies, NOW)).contains(&Action::Spawn { conversation: Some(key(2)) })
    );
}

#[test]
fn a_machine_that_is_not_listed_yet_has_a_grace_time() {
    let policies = Policies::default();
    let mut new = assigned(1);
    new.machine = MachineView::Missing;
    let plan = plan(&Observed { workers: vec![new], ..Observed::default() }, &policies, NOW);
    assert!(plan.actions.is_empty());
    assert_eq!(plan.waits[0].until, Some(NOW + policies.scaling.provider_grace));
}

#[test]
fn an_expired_lease_is_recovered_within_the_grace_time_of_its_machine() {
    let mut policies = Policies::default();
    policies.scaling.provider_grace = Millis::from_secs(600);
    let mut busy = running(assigned(1), &policies);
    busy.machine = MachineView::Missing;
    let expired = NOW + policies.lease.lease;
    let plan = plan(&Observed { workers: vec![busy], ..Observed::default() }, &policies, expired);
    assert_eq!(actions(&plan), [recovered(RecoverCause::Expired)]);
    assert_eq!(plan.waits[0].until, Some(NOW + policies.scaling.provider_grace));
}

#[test]
fn a_machine_that_does_not_run_yet_has_a_grace_time_and_one_that_ended_after_its_worker_came_up_has_none() {
    let policies = Policies::default();
    let mut new = assigned(1);
    new.machine = MachineView::NotRunning;
    new.conversation.as_mut().unwrap().owner.as_mut().unwrap().seen_at = None;
    let is_drained = |worker: &ObservedWorker, now| {
        let plan = plan(&Observed { workers: vec![worker.clone()], ..Observed::default() }, &policies, now);
        let drain = Action::Drain { worker: worker.worker.id.clone(), reason: DrainReason::MachineGone };
        actions(&plan).contains(&drain)
    };
    let grace_ends = NOW + policies.scaling.provider_grace;
    assert!(!is_drained(&new, grace_ends - Millis::new(1)) && is_drained(&new, grace_ends));
    new.worker.seen_at = Some(NOW);
    assert!(is_drained(&new, NOW + Millis::new(1)), "its worker had come up");
}

#[test]
fn a_worker_whose_running_machine_is_not_listed_stays_and_the_plan_shows_it() {
    let policies = Policies::default();
    let mut busy = running(assigned(1), &policies);
    busy.machine = MachineView::Unlisted;
    let later = NOW + policies.scaling.provider_grace;
    busy.conversation.as_mut().unwrap().owner.as_mut().unwrap().seen_at = Some(later);
    busy.conversation.as_mut().unwrap().lease.as_mut().unwrap().expires_at = later + Millis::new(1);
    let observed =
        |worker: &ObservedWorker| Observed { workers: vec![worker.clone()], ..Observed::default() };
    let plan_of = |worker: &ObservedWorker| plan(&observed(worker), &policies, later);
    let unlisted = plan_of(&busy);
    assert_eq!(actions(&unlisted), []);
    assert_eq!(
        unlisted.waits[0].waits_for,
        "the provider's list, which lacks its machine although the machine runs"
    );
    busy.worker = busy.worker.drain(DrainReason::Operator, later, &policies).unwrap();
    assert_eq!(actions(&plan_of(&busy)), [], "a draining worker finishes its message");
}
