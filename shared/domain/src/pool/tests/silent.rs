//! Workers that give no sign of life, or that give signs of life and claim nothing.

use super::*;
use crate::worker::MANUAL;

#[test]
fn a_worker_started_by_hand_covers_a_waiting_conversation_from_its_first_sign_of_life_on() {
    let policies = Policies::default();
    let mut by_hand = ObservedWorker {
        worker: Worker::registered(WorkerId::parse("w").unwrap(), MANUAL.into(), NOW),
        conversation: None,
        has_other_owner: false,
        machine: MachineView::Unknown,
    };
    let planned = |worker: &ObservedWorker| {
        let ready = vec![ready(1, NOW)];
        actions(&plan(
            &Observed { workers: vec![worker.clone()], ready, ..Observed::default() },
            &policies,
            NOW,
        ))
    };
    assert_eq!(planned(&by_hand), [Action::Spawn { conversation: Some(key(1)) }]);
    by_hand.worker.seen_at = Some(NOW);
    assert_eq!(planned(&by_hand), []);
}

#[test]
fn a_silent_worker_started_by_hand_is_not_waited_for() {
    let policies = Policies::default();
    let mut by_hand = assigned(1);
    by_hand.worker.provider = MANUAL.to_owned();
    by_hand.machine = MachineView::Unknown;
    by_hand.conversation.as_mut().unwrap().owner.as_mut().unwrap().claimed_at = Some(NOW);
    by_hand.conversation.as_mut().unwrap().fence = Fence(2);
    assert!(by_hand.conversation.as_ref().unwrap().owes_snapshot());
    let now = NOW + policies.lease.stale_after;
    let worker = WorkerId::parse("w1").unwrap();
    let planned = |by_hand: ObservedWorker| {
        actions(&plan(&Observed { workers: vec![by_hand], ..Observed::default() }, &policies, now))
    };
    let expected = [
        Action::Drain { worker: worker.clone(), reason: DrainReason::Stale },
        Action::FinishDrain { worker: worker.clone(), gone: true },
        Action::Teardown { worker: worker.clone() },
    ];
    assert_eq!(planned(by_hand.clone()), expected);
    by_hand.worker.provider = "local".to_owned();
    assert_eq!(planned(by_hand), expected[..1], "a machine of a provider may still upload its files");
}

#[test]
fn an_owner_that_gives_signs_of_life_and_claims_nothing_is_drained() {
    let policies = Policies::default();
    let limit = policies.lease.stale_after;
    let reason_after = |held_until: Option<Timestamp>, claimed_at: Option<Timestamp>, now: Timestamp| {
        let mut worker = assigned(1);
        let conversation = worker.conversation.as_mut().unwrap();
        conversation.held_until = held_until;
        conversation.queue = Queue::new(vec![entry("m")]);
        let owner = conversation.owner.as_mut().unwrap();
        (owner.seen_at, owner.claimed_at) = (Some(now), claimed_at);
        let plan = plan(&Observed { workers: vec![worker], ..Observed::default() }, &policies, now);
        plan.actions.iter().find_map(|p| match &p.action {
            Action::Drain { reason, .. } => Some(*reason),
            _ => None,
        })
    };
    let reason_at = |claimed_at, now| reason_after(None, claimed_at, now);
    assert_eq!(reason_at(Some(NOW), NOW + limit - Millis::new(1)), None);
    assert_eq!(reason_at(Some(NOW), NOW + limit), Some(DrainReason::Stale));
    assert_eq!(reason_at(None, NOW + limit), None, "it may still restore files");
    assert_eq!(reason_at(None, NOW + policies.lease.boot_grace), Some(DrainReason::Stale));
    let hold_ends = NOW + limit;
    assert_eq!(reason_after(Some(hold_ends), Some(NOW), hold_ends), None, "its agent was disabled");
    assert_eq!(reason_after(Some(hold_ends), Some(NOW), hold_ends + limit), Some(DrainReason::Stale));
}
