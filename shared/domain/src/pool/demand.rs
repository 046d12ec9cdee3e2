//! Growing: workers for conversations without an owner, and room in a full pool.

use super::{Action, Observed, ObservedWorker, Plan, SPAWN_AHEAD};
use crate::ids::ConversationKey;
use crate::policy::Policies;
use crate::time::Timestamp;
use crate::worker::WorkerStatus;

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

pub(super) fn demand(plan: &mut Plan, observed: &Observed, policies: &Policies, now: Timestamp) {
    let scaling = &policies.scaling;
    let waiting = waiting(observed, now);
    // Each free worker takes one of them. The others need a worker that is started.
    let uncovered = &waiting[..waiting.len().saturating_sub(free(plan, observed, policies, now))];
    let live = observed.workers.len();
    let max_workers = size(scaling.max_workers);
    let room = max_workers.saturating_sub(live);
    let state = observed.state_now();
    let step = state.spawns_at_once(size(scaling.spawn_step), observed.coming_up(), now);
    let spawned = uncovered.len().min(room).min(step);
    for (since, key) in uncovered.iter().take(spawned) {
        let action = Action::Spawn { conversation: Some((*key).clone()) };
        plan.act(action, format!("its conversation has waited for {} and has no owner", now.since(*since)));
    }
    plan.unserved = uncovered.len() - spawned;
    // A draining worker does not count for the minimum, but it counts for the maximum until it has stopped.
    let active = observed.workers.iter().filter(|w| w.worker.status == WorkerStatus::Active).count();
    let idle_min = size(scaling.min_idle_workers).min(max_workers);
    let spare = idle_min.saturating_sub(active + spawned).min(room - spawned).min(step - spawned);
    for _ in 0..spare {
        plan.act(Action::Spawn { conversation: None }, format!("scaling.minIdleWorkers is {idle_min}"));
    }
    if let Some((text, end)) = state.pause(now) {
        plan.wait("spawning".to_owned(), text, Some(end));
    } else if step == 0 {
        plan.wait("spawning".to_owned(), "a sign of life of the worker that was started as a test", None);
    } else if plan.unserved > 0 && room <= spawned {
        let text = format!("a worker: {} of {max_workers} are alive", live + spawned);
        plan.wait(format!("{} conversations", plan.unserved), text, None);
    }
    // While no worker can be added, the owners of other conversations are asked to release theirs.
    let no_more_can_come = room <= spawned || step == 0;
    plan.is_short = no_more_can_come && plan.unserved > 0;
    let waiting = if no_more_can_come { plan.unserved } else { 0 };
    ask_to_switch(plan, observed, waiting, policies, now);
}

/// Conversations that want a worker, the longest wait first.
fn waiting(observed: &Observed, now: Timestamp) -> Vec<(Timestamp, &ConversationKey)> {
    let mut waiting: Vec<_> = observed
        .ready
        .iter()
        .filter_map(|c| c.ready.time().map(|t| (t, &c.key)))
        .filter(|(t, _)| *t <= now + SPAWN_AHEAD)
        .collect();
    waiting.sort();
    waiting
}

/// How many workers may take one of them. A worker that was started by hand counts from its first sign of life on, because
/// its program may never have been started.
fn free(plan: &Plan, observed: &Observed, policies: &Policies, now: Timestamp) -> usize {
    let leaves = |w: &ObservedWorker| {
        let drains = |a: &Action| matches!(a, Action::Drain { worker, .. } if *worker == w.worker.id);
        plan.actions.iter().any(|p| drains(&p.action))
    };
    let is_free = |w: &&ObservedWorker| {
        let may_come = !w.worker.is_manual() || w.last_sign_of_life().is_some();
        may_come && w.worker.assignment.is_none() && w.may_claim(policies, now) && !leaves(w)
    };
    observed.workers.iter().filter(is_free).count()
}

/// Asks one owner for each waiting conversation to release its conversation when it is quiet. The request is not withdrawn:
/// an owner checks whether a conversation waits before it releases its own.
fn ask_to_switch(plan: &mut Plan, observed: &Observed, waiting: usize, policies: &Policies, now: Timestamp) {
    let mut owners: Vec<_> = observed
        .workers
        .iter()
        .filter(|w| w.may_claim(policies, now))
        .filter_map(|w| Some((w, w.conversation.as_ref()?)))
        .collect();
    // The longest quiet first, busy owners last.
    owners.sort_by_key(|(w, _)| (w.quiet_since(policies, now).unwrap_or(now), w.worker.id.clone()));
    for (worker, conversation) in owners.into_iter().take(waiting) {
        if conversation.owner.as_ref().is_some_and(|o| !o.wanted_elsewhere) {
            let action = Action::AskToSwitch { conversation: conversation.key.clone() };
            plan.act(
                action,
                format!("worker {}: no worker can be added, and other conversations wait", worker.worker.id),
            );
        }
    }
}
