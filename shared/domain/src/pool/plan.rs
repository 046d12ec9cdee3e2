//! `plan`: the decisions of one reconcile run.

use std::collections::BTreeSet;

use super::{
    Action, MachineView, Observed, ObservedWorker, Plan, Planned, REPAIRS_MAX, ReadyConversation,
    SPAWN_AHEAD, Wait,
};
use crate::conversation::{Conversation, Cut};
use crate::ids::ConversationKey;
use crate::policy::Policies;
use crate::time::Timestamp;
use crate::worker::{DrainReason, WorkerStatus};

/// Decides what to do about `observed` at `now`.
pub fn plan(observed: &Observed, policies: &Policies, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    repair(&mut plan, observed, now);
    let mut spare = idle_workers_to_spare(observed, policies);
    for observed in &observed.workers {
        match &observed.worker.status {
            WorkerStatus::Active => active(&mut plan, observed, &mut spare, policies, now),
            WorkerStatus::Draining { drain_by, reason } => {
                draining(&mut plan, observed, *drain_by, *reason, now);
            }
            // Its row must not go while a conversation may name it: that one would wait for ever.
            WorkerStatus::Stopping { .. } if observed.worker.assignment.is_some() => {}
            WorkerStatus::Stopping { .. } => {
                let reason = "its conversation is free, its machine may go".to_owned();
                plan.act(Action::Teardown { worker: observed.worker.id.clone() }, reason);
            }
            WorkerStatus::Stopped { .. } => {}
        }
    }
    promote(&mut plan, &observed.ready, now);
    demand(&mut plan, observed, policies, now);
    plan
}

impl Plan {
    fn act(&mut self, action: Action, reason: String) {
        self.actions.push(Planned { action, reason });
    }

    fn wait(&mut self, subject: String, waits_for: impl Into<String>, until: Option<Timestamp>) {
        self.waits.push(Wait { subject, waits_for: waits_for.into(), until });
    }
}

impl ObservedWorker {
    fn last_sign_of_life(&self) -> Option<Timestamp> {
        let on_conversation =
            self.conversation.as_ref().and_then(|c| c.owner.as_ref()).and_then(|o| o.seen_at);
        self.worker.seen_at.max(on_conversation)
    }

    /// Since when it has had nothing to do; `None` while it runs a message or has one waiting that is due.
    fn quiet_since(&self, policies: &Policies, now: Timestamp) -> Option<Timestamp> {
        let Some(conversation) = &self.conversation else { return Some(self.worker.quiet_since) };
        let busy = conversation.lease.is_some() || conversation.readiness(now, policies).head.is_some();
        (!busy).then_some(self.worker.quiet_since.max(conversation.active_at))
    }

    fn owes_snapshot(&self) -> bool {
        self.conversation.as_ref().is_some_and(Conversation::owes_snapshot)
    }

    fn may_claim(&self, policies: &Policies, now: Timestamp) -> bool {
        self.worker.status == WorkerStatus::Active
            && matches!(self.machine, MachineView::Unknown | MachineView::Running)
            && !self.worker.is_stale(self.last_sign_of_life(), now, policies)
    }
}

/// How many idle workers may go before the pool has fewer than its minimum.
fn idle_workers_to_spare(observed: &Observed, policies: &Policies) -> u64 {
    let active = observed.workers.iter().filter(|w| w.worker.status == WorkerStatus::Active).count() as u64;
    active.saturating_sub(policies.scaling.idle_workers_min)
}

fn active(plan: &mut Plan, observed: &ObservedWorker, spare: &mut u64, policies: &Policies, now: Timestamp) {
    let worker = &observed.worker;
    let subject = format!("worker {}", worker.id);
    let seen = observed.last_sign_of_life();
    match observed.machine {
        MachineView::Missing | MachineView::NotRunning => {
            let grace_ends = worker.registered_at + policies.scaling.provider_grace;
            if observed.machine == MachineView::Missing && now < grace_ends {
                return plan.wait(subject, "its machine to appear at the provider", Some(grace_ends));
            }
            return leave(plan, observed, DrainReason::MachineGone, "its machine does not run");
        }
        MachineView::Unknown | MachineView::Running => {}
    }
    let idle_at = observed.quiet_since(policies, now).map(|quiet| quiet + policies.scaling.idle_timeout);
    // Before staleness: a worker that nobody needs may go in peace, whatever it says.
    if idle_at.is_some_and(|at| at <= now) && *spare > 0 {
        *spare -= 1;
        let words = format!("no work for its idle timeout, {}", policies.scaling.idle_timeout);
        return leave(plan, observed, DrainReason::Idle, &words);
    }
    if worker.is_stale(seen, now, policies) {
        let silence = now.since(seen.unwrap_or(worker.registered_at));
        return leave(plan, observed, DrainReason::Stale, &format!("no sign of life for {silence}"));
    }
    if let Some(conversation) = &observed.conversation
        && conversation.lease.as_ref().is_some_and(|l| l.expires_at <= now)
    {
        let action = Action::Recover { conversation: conversation.key.clone(), cut: Cut::Expired };
        return plan.act(action, "its lease has expired".to_owned());
    }
    match idle_at {
        None => {}
        Some(at) if at > now => plan.wait(subject, "work, or its idle timeout", Some(at)),
        Some(_) => {
            plan.wait(
                subject,
                format!("work: scaling.minIdleWorkers is {}", policies.scaling.idle_workers_min),
                None,
            );
        }
    }
}

/// A worker that shall go. What it may have run goes back; one that was only silent may come back meanwhile and
/// extend its lease, which then is not recovered. It is told to leave, and when it owes a final snapshot it has until
/// its deadline to upload it. One that owes nothing, or whose machine does not run, goes in the same run.
fn leave(plan: &mut Plan, observed: &ObservedWorker, reason: DrainReason, words: &str) {
    let worker = &observed.worker.id;
    let gone = reason == DrainReason::MachineGone;
    let cut = if gone { Cut::WorkerGone } else { Cut::Expired };
    if let Some(conversation) = observed.conversation.as_ref().filter(|c| c.lease.is_some()) {
        plan.act(Action::Recover { conversation: conversation.key.clone(), cut }, words.to_owned());
    }
    plan.act(Action::Drain { worker: worker.clone(), reason }, words.to_owned());
    if gone || !observed.owes_snapshot() {
        plan.act(Action::Settle { worker: worker.clone(), gone }, words.to_owned());
        plan.act(Action::Teardown { worker: worker.clone() }, words.to_owned());
    }
}

fn draining(
    plan: &mut Plan,
    observed: &ObservedWorker,
    drain_by: Timestamp,
    reason: DrainReason,
    now: Timestamp,
) {
    let worker = &observed.worker.id;
    let machine_runs = matches!(observed.machine, MachineView::Unknown | MachineView::Running);
    if let Some(conversation) = observed.conversation.as_ref()
        && let Some(lease) = &conversation.lease
    {
        if lease.expires_at > now && drain_by > now && machine_runs {
            let message = format!("message {} to end", lease.entry.message);
            return plan.wait(format!("worker {worker}"), message, Some(drain_by));
        }
        let cut = if machine_runs && reason.is_our_doing() { Cut::Drained } else { Cut::WorkerGone };
        let action = Action::Recover { conversation: conversation.key.clone(), cut };
        plan.act(action, "its worker is draining and its time is up".to_owned());
    }
    let words = match (observed.owes_snapshot(), machine_runs) {
        (true, true) if drain_by > now => {
            return plan.wait(format!("worker {worker}"), "its final snapshot", Some(drain_by));
        }
        (true, true) => "its time is up, without its final snapshot",
        (true, false) => "its machine does not run, and its final snapshot is missing",
        (false, _) => "nothing runs on it any more",
    };
    plan.act(Action::Settle { worker: worker.clone(), gone: !machine_runs }, words.to_owned());
    plan.act(Action::Teardown { worker: worker.clone() }, words.to_owned());
}

/// Rows and conversations that contradict each other. What was read may be behind, so each is looked at once more
/// before anything is done; in a pool that is as it should be there are none.
fn repair(plan: &mut Plan, observed: &Observed, now: Timestamp) {
    let listed: BTreeSet<_> = observed.ready.iter().map(|c| &c.key).collect();
    for observed in &observed.workers {
        let Some(assignment) = &observed.worker.assignment else { continue };
        if plan.actions.len() >= REPAIRS_MAX {
            return;
        }
        let (worker, conversation) = (&observed.worker.id, &assignment.key);
        let stopping = matches!(observed.worker.status, WorkerStatus::Stopping { .. });
        let owned = observed.conversation.as_ref();
        if stopping || owned.is_some_and(|c| listed.contains(&c.key) && c.is_listed_by_mistake(now)) {
            let action = Action::Repair { conversation: conversation.clone() };
            let what = if stopping { "is stopping" } else { "owns it, yet it stands in the ready index" };
            plan.act(action, format!("worker {worker} {what}"));
        }
        if stopping || (owned.is_none() && assignment.is_seen_by_all(now)) {
            let action = Action::Unassign { worker: worker.clone() };
            plan.act(action, "its conversation does not name it".to_owned());
        }
    }
}

fn promote(plan: &mut Plan, ready: &[ReadyConversation], now: Timestamp) {
    for conversation in ready {
        if conversation.ready.is_later() && conversation.ready.time().is_some_and(|t| t <= now) {
            let action = Action::Promote { conversation: conversation.key.clone() };
            plan.act(action, "its waiting time is over".to_owned());
        }
    }
}

fn demand(plan: &mut Plan, observed: &Observed, policies: &Policies, now: Timestamp) {
    let scaling = &policies.scaling;
    let mut uncovered: Vec<(Timestamp, &ConversationKey)> = observed
        .ready
        .iter()
        .filter_map(|c| c.ready.time().map(|t| (t, &c.key)))
        .filter(|(t, _)| *t <= now + SPAWN_AHEAD)
        .collect();
    uncovered.sort();
    let is_free = |w: &&ObservedWorker| w.worker.assignment.is_none() && w.may_claim(policies, now);
    let free = observed.workers.iter().filter(is_free).count();
    let wanted = uncovered.len().saturating_sub(free);
    let live = observed.workers.len();
    let workers_max = usize::try_from(scaling.workers_max).unwrap_or(usize::MAX);
    let room = workers_max.saturating_sub(live);
    let step = usize::try_from(scaling.spawn_step).unwrap_or(usize::MAX);
    let spawned = wanted.min(room).min(step);
    for (since, key) in uncovered.iter().take(spawned) {
        let action = Action::Spawn { conversation: Some((*key).clone()) };
        plan.act(action, format!("its conversation waits since {since} and nobody owns it"));
    }
    plan.unserved = wanted - spawned;
    let idle_min = usize::try_from(scaling.idle_workers_min).unwrap_or(usize::MAX).min(workers_max);
    for _ in (live + spawned)..idle_min.min(live + step) {
        plan.act(Action::Spawn { conversation: None }, format!("scaling.minIdleWorkers is {idle_min}"));
    }
    if plan.unserved > 0 && room <= spawned {
        let words = format!("a worker: {} of {workers_max} are alive", live + spawned);
        plan.wait(format!("{} conversations", plan.unserved), words, None);
    }
    let waiting_on_a_full_pool = if room <= spawned { plan.unserved } else { 0 };
    ask_to_switch(plan, observed, waiting_on_a_full_pool, policies, now);
}

/// One owner per waiting conversation is asked to let go when it is quiet. Nobody takes that back: an owner looks
/// whether somebody waits before it lets go.
fn ask_to_switch(plan: &mut Plan, observed: &Observed, waiting: usize, policies: &Policies, now: Timestamp) {
    let mut owners: Vec<_> = observed
        .workers
        .iter()
        .filter(|w| w.may_claim(policies, now))
        .filter_map(|w| Some((w, w.conversation.as_ref()?)))
        .collect();
    // Longest quiet first; those that are busy now come last.
    owners.sort_by_key(|(w, _)| (w.quiet_since(policies, now).unwrap_or(now), w.worker.id.clone()));
    for (worker, conversation) in owners.into_iter().take(waiting) {
        if conversation.owner.as_ref().is_some_and(|o| !o.wanted_elsewhere) {
            let action = Action::AskToSwitch { conversation: conversation.key.clone() };
            plan.act(action, format!("worker {}: the pool is full and others wait", worker.worker.id));
        }
    }
}
