mod cool_down;
mod machines;
mod orphans;
mod rollover;
mod silent;

use super::*;
use crate::conversation::{Entry, Owner, OwnerState, Priority, Queue, RecoverCause};
use crate::ids::{AgentKey, ConversationId, Fence, MessageId};
use crate::policy::Policies;
use crate::worker::{Assignment, WorkerStatus};

const NOW: Timestamp = Timestamp::from_millis(10_000_000);

fn key(n: usize) -> ConversationKey {
    ConversationKey::parse(format!("{n:0>26}")).unwrap()
}

fn ready(n: usize, since: Timestamp) -> ReadyConversation {
    ReadyConversation { key: key(n), ready: ReadyKey::due(Priority::new(50).unwrap(), since) }
}

fn conversation(n: usize, worker: &str) -> Conversation {
    Conversation {
        id: ConversationId::parse(format!("c{n}")).unwrap(),
        key: key(n),
        agent: AgentKey::parse("demo").unwrap(),
        fence: Fence(1),
        version: 1,
        queue: Queue::default(),
        lease: None,
        owner: Some(Owner {
            worker: WorkerId::parse(worker).unwrap(),
            state: OwnerState::Active,
            seen_at: Some(NOW),
            assigned_at: NOW,
            wanted_elsewhere: false,
            claimed_at: None,
            snapshot_fence: None,
            restored_at: None,
        }),
        last: None,
        ready: None,
        behind: None,
        held_until: None,
        active_at: NOW,
    }
}

fn assigned(n: usize) -> ObservedWorker {
    let id = format!("w{n}");
    let conversation = conversation(n, &id);
    let mut worker = Worker::registered(WorkerId::parse(id).unwrap(), "local".into(), NOW);
    worker.assignment = Some(Assignment {
        conversation: conversation.id.clone(),
        key: conversation.key.clone(),
        agent: conversation.agent.clone(),
        assigned_at: NOW,
    });
    ObservedWorker {
        worker,
        conversation: Some(conversation),
        has_other_owner: false,
        machine: MachineView::Running,
    }
}

fn entry(message: &str) -> Entry {
    Entry {
        message: MessageId::parse(message).unwrap(),
        priority: Priority::new(50).unwrap(),
        due: NOW,
        scheduled: false,
        attempts: 0,
        drained: 0,
        max_attempts: 5,
        not_before: Timestamp::default(),
        first_fence: None,
        revised: false,
    }
}

fn running(mut observed: ObservedWorker, policies: &Policies) -> ObservedWorker {
    let conversation = observed.conversation.as_mut().unwrap();
    conversation.queue = Queue::new(vec![entry("m")]);
    *conversation = conversation.claim(&observed.worker.id, 1, NOW, policies).unwrap().after;
    observed
}

/// The recovery of the message that worker 1 runs.
fn recovered(cut: RecoverCause) -> Action {
    Action::Recover { conversation: key(1), holder: WorkerId::parse("w1").unwrap(), cut }
}

fn actions(plan: &Plan) -> Vec<Action> {
    plan.actions.iter().map(|p| p.action.clone()).collect()
}

#[test]
fn an_empty_observation_gives_an_empty_plan() {
    assert_eq!(plan(&Observed::default(), &Policies::default(), NOW), Plan::default());
}

#[test]
fn waiting_conversations_get_workers_longest_wait_first_within_step_and_maximum() {
    let policies = Policies::default();
    let ready = (0..5).map(|n| ready(n, NOW - Millis::new(n as u64))).collect();
    let plan = plan(&Observed { ready, ..Observed::default() }, &policies, NOW);
    let spawned: Vec<_> = [4, 3, 2].map(|n| Action::Spawn { conversation: Some(key(n)) }).into();
    assert_eq!(actions(&plan), spawned);
    assert_eq!(plan.unserved, 2);
}

#[test]
fn a_free_worker_covers_a_waiting_conversation() {
    let policies = Policies::default();
    let free = ObservedWorker {
        worker: Worker::registered(WorkerId::parse("w").unwrap(), "local".into(), NOW),
        conversation: None,
        has_other_owner: false,
        machine: MachineView::Running,
    };
    let plan = plan(
        &Observed { workers: vec![free], ready: vec![ready(1, NOW)], ..Observed::default() },
        &policies,
        NOW,
    );
    assert_eq!(actions(&plan), []);
}

#[test]
fn a_full_pool_asks_one_owner_per_waiting_conversation_to_release_and_asks_it_once() {
    let mut policies = Policies::default();
    policies.scaling.max_workers = 2;
    let busy = running(assigned(1), &policies);
    let mut observed =
        Observed { workers: vec![busy, assigned(2)], ready: vec![ready(3, NOW)], ..Observed::default() };
    observed.workers[1].conversation.as_mut().unwrap().active_at = NOW - Millis::new(5);
    let ask = Action::AskToSwitch { conversation: key(2) };
    assert_eq!(
        actions(&plan(&observed, &policies, NOW + Millis::new(1))),
        [ask],
        "the worker that has been quiet longest is asked first"
    );
    observed.workers[1].conversation.as_mut().unwrap().owner.as_mut().unwrap().wanted_elsewhere = true;
    assert!(
        actions(&plan(&observed, &policies, NOW + Millis::new(1))).is_empty(),
        "it has been asked already"
    );
}

#[test]
fn an_idle_worker_is_drained_at_its_timeout_and_not_before() {
    let policies = Policies::default();
    let observed = |seen| {
        let mut worker = assigned(1);
        worker.conversation.as_mut().unwrap().owner.as_mut().unwrap().seen_at = Some(seen);
        Observed { workers: vec![worker], ..Observed::default() }
    };
    let due = NOW + policies.scaling.idle_timeout;
    let before = due - Millis::new(1);
    let early = plan(&observed(before), &policies, before);
    assert!(early.actions.is_empty());
    assert_eq!(early.waits[0].until, Some(due));
    let worker = WorkerId::parse("w1").unwrap();
    let expected = [
        Action::Drain { worker: worker.clone(), reason: DrainReason::Idle },
        Action::FinishDrain { worker: worker.clone(), gone: false },
        Action::Teardown { worker },
    ];
    assert_eq!(actions(&plan(&observed(due), &policies, due)), expected);
}

#[test]
fn the_minimum_of_idle_workers_stays_and_is_started() {
    let mut policies = Policies::default();
    policies.scaling.min_idle_workers = 1;
    let due = NOW + policies.scaling.idle_timeout;
    let mut worker = assigned(1);
    worker.conversation.as_mut().unwrap().owner.as_mut().unwrap().seen_at = Some(due);
    assert!(
        plan(&Observed { workers: vec![worker], ..Observed::default() }, &policies, due).actions.is_empty()
    );
    let started = plan(&Observed::default(), &policies, NOW);
    assert_eq!(actions(&started), [Action::Spawn { conversation: None }]);
}

#[test]
fn a_running_message_keeps_its_worker_and_an_expired_lease_is_recovered() {
    let policies = Policies::default();
    let busy = Observed { workers: vec![running(assigned(1), &policies)], ..Observed::default() };
    assert!(plan(&busy, &policies, NOW + Millis::new(1)).actions.is_empty());
    let expired = NOW + policies.lease.lease;
    assert_eq!(actions(&plan(&busy, &policies, expired)), [recovered(RecoverCause::Expired)]);
}

#[test]
fn a_free_worker_that_is_drained_covers_no_conversation() {
    let policies = Policies::default();
    let mut free = assigned(1);
    (free.worker.assignment, free.conversation) = (None, None);
    let due = NOW + policies.scaling.idle_timeout;
    free.worker.seen_at = Some(due);
    let observed = Observed { workers: vec![free], ready: vec![ready(2, due)], ..Observed::default() };
    let planned = actions(&plan(&observed, &policies, due));
    let id = WorkerId::parse("w1").unwrap();
    assert!(planned.contains(&Action::Drain { worker: id, reason: DrainReason::Idle }), "{planned:?}");
    assert!(planned.contains(&Action::Spawn { conversation: Some(key(2)) }), "{planned:?}");
}

#[test]
fn a_draining_worker_finishes_its_message_until_its_deadline() {
    let policies = Policies::default();
    let mut busy = running(assigned(1), &policies);
    busy.worker = busy.worker.drain(DrainReason::Operator, NOW, &policies).unwrap();
    let worker = busy.worker.id.clone();
    let observed = Observed { workers: vec![busy], ..Observed::default() };
    let waiting = plan(&observed, &policies, NOW + Millis::new(1));
    assert!(waiting.actions.is_empty());
    assert!(waiting.waits[0].waits_for.contains("message m"));
    let late = NOW + policies.scaling.drain_timeout;
    let finish = Action::FinishDrain { worker, gone: false };
    assert!(actions(&plan(&observed, &policies, late)).contains(&finish));
}

/// The worker after a claim of which it has no snapshot yet.
fn owing_snapshot(mut observed: ObservedWorker) -> ObservedWorker {
    let owner = observed.conversation.as_mut().and_then(|c| c.owner.as_mut()).unwrap();
    owner.claimed_at = Some(NOW);
    observed
}

#[test]
fn an_idle_worker_that_owes_a_snapshot_drains_and_has_until_its_deadline() {
    let policies = Policies::default();
    let due = NOW + policies.scaling.idle_timeout;
    let mut idle = owing_snapshot(assigned(1));
    idle.conversation.as_mut().unwrap().owner.as_mut().unwrap().seen_at = Some(due);
    let worker = idle.worker.id.clone();
    let observed = |worker| Observed { workers: vec![worker], ..Observed::default() };
    let drained = plan(&observed(idle.clone()), &policies, due);
    assert_eq!(actions(&drained), [Action::Drain { worker: worker.clone(), reason: DrainReason::Idle }]);

    idle.worker = idle.worker.drain(DrainReason::Idle, due, &policies).unwrap();
    let late = due + policies.scaling.drain_timeout;
    let waiting = plan(&observed(idle.clone()), &policies, late - Millis::new(1));
    assert!(waiting.actions.is_empty());
    assert_eq!((&*waiting.waits[0].waits_for, waiting.waits[0].until), ("its final snapshot", Some(late)));

    let finish = |gone| {
        [Action::FinishDrain { worker: worker.clone(), gone }, Action::Teardown { worker: worker.clone() }]
    };
    assert_eq!(
        actions(&plan(&observed(idle.clone()), &policies, late)),
        finish(false),
        "its deadline has passed"
    );
    let mut with_snapshot = idle.clone();
    with_snapshot.conversation = with_snapshot.conversation.map(|c| c.with_snapshot());
    assert_eq!(
        actions(&plan(&observed(with_snapshot), &policies, due)),
        finish(false),
        "it owes no snapshot any more"
    );
    idle.machine = MachineView::NotRunning;
    assert_eq!(actions(&plan(&observed(idle), &policies, due)), finish(true), "no worker can upload it");
}

#[test]
fn a_silent_worker_that_owes_a_snapshot_has_until_its_deadline_but_a_dead_one_is_torn_down_at_once() {
    let policies = Policies::default();
    let silent = NOW + policies.lease.stale_after;
    let worker = owing_snapshot(assigned(1));
    let planned = |worker, now| {
        let observed = Observed { workers: vec![worker], ..Observed::default() };
        actions(&plan(&observed, &policies, now)).len()
    };
    assert_eq!(planned(worker.clone(), silent), 1, "it drains");
    let dead = ObservedWorker { machine: MachineView::NotRunning, ..worker };
    assert_eq!(planned(dead, NOW), 3, "it drains, its drain finishes and it is torn down");
}

#[test]
fn a_scheduled_entry_whose_time_has_come_is_promoted() {
    let policies = Policies::default();
    let now_due = ReadyConversation { key: key(1), ready: ReadyKey::at(NOW) };
    let plan = plan(&Observed { ready: vec![now_due], ..Observed::default() }, &policies, NOW);
    assert_eq!(plan.actions[0].action, Action::Promote { conversation: key(1) });
}

#[test]
fn a_message_that_outlasts_a_drain_counts_as_drained_only_if_we_ordered_it_and_the_machine_runs() {
    let policies = Policies::default();
    for (reason, machine, cut) in [
        (DrainReason::Operator, MachineView::Running, RecoverCause::Drained),
        (DrainReason::Operator, MachineView::NotRunning, RecoverCause::WorkerGone),
        (DrainReason::Stale, MachineView::Running, RecoverCause::WorkerGone),
    ] {
        let mut busy = running(assigned(1), &policies);
        busy.worker = busy.worker.drain(reason, NOW, &policies).unwrap();
        busy.machine = machine;
        let observed = Observed { workers: vec![busy], ..Observed::default() };
        let plan = plan(&observed, &policies, NOW + policies.scaling.drain_timeout);
        assert_eq!(actions(&plan)[0], recovered(cut), "{reason}");
    }
}

#[test]
fn rows_and_conversations_that_contradict_each_other_are_repaired_after_the_replication_lag() {
    let policies = Policies::default();
    let mut foreign = assigned(1);
    foreign.conversation = None;
    let mut listed = assigned(2);
    listed.conversation.as_mut().unwrap().owner.as_mut().unwrap().seen_at = Some(NOW);
    let observed =
        Observed { workers: vec![foreign, listed], ready: vec![ready(2, NOW)], ..Observed::default() };
    let repairs_at = |at| -> Vec<Action> {
        let planned = actions(&plan(&observed, &policies, at));
        let is_repair = |a: &Action| matches!(a, Action::Repair { .. } | Action::Unassign { .. });
        planned.into_iter().filter(is_repair).collect()
    };
    assert_eq!(repairs_at(NOW), [], "a replica may lag");
    let expected = [
        Action::Unassign { worker: WorkerId::parse("w1").unwrap() },
        Action::Repair { conversation: key(2) },
    ];
    assert_eq!(repairs_at(NOW + crate::time::MAX_REPLICATION_LAG), expected);
}

#[test]
fn a_row_that_names_a_conversation_is_not_removed() {
    let policies = Policies::default();
    let mut stopping = assigned(1);
    stopping.worker.status = WorkerStatus::Stopping { since: NOW };
    let worker = stopping.worker.id.clone();
    let mut observed = Observed { workers: vec![stopping], ..Observed::default() };
    let repairs = [Action::Repair { conversation: key(1) }, Action::Unassign { worker: worker.clone() }];
    assert_eq!(actions(&plan(&observed, &policies, NOW)), repairs);
    observed.workers[0].worker.assignment = None;
    observed.workers[0].conversation = None;
    assert_eq!(actions(&plan(&observed, &policies, NOW)), [Action::Teardown { worker }]);
}
