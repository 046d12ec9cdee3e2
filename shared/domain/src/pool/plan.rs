//! `plan`: the decisions of one reconcile run.

use std::collections::BTreeSet;

use super::demand::demand;
use super::orphans::orphans;
use super::{
    Action, Image, MAX_REPAIRS, MachineView, Observed, ObservedWorker, Plan, Planned, ReadyConversation, Wait,
};
use crate::conversation::{Conversation, Lease, RecoverCause};
use crate::policy::Policies;
use crate::time::{Millis, Timestamp};
use crate::worker::{DrainReason, Worker, WorkerStatus};

/// How long before the end of its token a quiet worker is replaced. Without a token it could not report its drain.
const LAST_DAY: Millis = Millis::from_days(1);

/// Decides what to do about `observed` at `now`.
pub fn plan(observed: &Observed, policies: &Policies, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    repair(&mut plan, observed, now);
    let mut budget = DrainBudget::of(observed, policies, now);
    for observed in &observed.workers {
        match &observed.worker.status {
            WorkerStatus::Active => active(&mut plan, observed, &mut budget, policies, now),
            WorkerStatus::Draining { drain_by, reason } => {
                draining(&mut plan, observed, *drain_by, *reason, now);
            }
            // Its row must stay while a conversation may name it as its owner. Otherwise the conversation would wait forever.
            WorkerStatus::Stopping { .. } if observed.worker.assignment.is_some() => {}
            WorkerStatus::Stopping { .. } => {
                let reason = "its conversation is released, so its machine can be removed".to_owned();
                plan.act(Action::Teardown { worker: observed.worker.id.clone() }, reason);
            }
            WorkerStatus::Stopped { .. } => {}
        }
    }
    orphans(&mut plan, observed, policies, now);
    promote(&mut plan, &observed.ready, now);
    demand(&mut plan, observed, policies, now);
    plan
}

impl Plan {
    pub(super) fn act(&mut self, action: Action, reason: String) {
        self.actions.push(Planned { action, reason });
    }

    pub(super) fn wait(&mut self, subject: String, waits_for: impl Into<String>, until: Option<Timestamp>) {
        self.waits.push(Wait { subject, waits_for: waits_for.into(), until });
    }
}

impl ObservedWorker {
    pub(super) fn last_sign_of_life(&self) -> Option<Timestamp> {
        let on_conversation =
            self.conversation.as_ref().and_then(|c| c.owner.as_ref()).and_then(|o| o.seen_at);
        self.worker.seen_at.max(on_conversation)
    }

    fn lease(&self) -> Option<&Lease> {
        self.conversation.as_ref()?.lease.as_ref()
    }

    fn has_expired_lease(&self, now: Timestamp) -> bool {
        self.lease().is_some_and(|l| l.expires_at <= now)
    }

    /// Since when it has had no work; `None` while it runs a message or one is due.
    pub(super) fn quiet_since(&self, policies: &Policies, now: Timestamp) -> Option<Timestamp> {
        let Some(conversation) = &self.conversation else { return Some(self.worker.quiet_since) };
        (!conversation.is_busy(now, policies)).then_some(self.worker.quiet_since.max(conversation.active_at))
    }

    /// For how long it has claimed nothing although a message is due and it gives signs of life; `None` while this is within
    /// the limit. A worker that has claimed nothing yet may still restore files.
    fn ignores_work_for(&self, policies: &Policies, now: Timestamp) -> Option<Millis> {
        let conversation = self.conversation.as_ref()?;
        let owner = conversation.owner.as_ref()?;
        let due = conversation.lease.is_none().then(|| conversation.due_since(now, policies))??;
        let since = due.max(conversation.active_at).max(owner.assigned_at);
        let limit = match owner.claimed_at {
            Some(_) => policies.lease.stale_after.max(policies.poll.idle),
            None => policies.lease.boot_grace,
        };
        (now.since(since) >= limit).then(|| now.since(since))
    }

    /// Whether another worker owns the conversation in its row, for so long that every reader sees it.
    fn is_duplicate(&self, now: Timestamp) -> bool {
        self.has_other_owner && self.worker.assignment.as_ref().is_some_and(|a| a.is_seen_by_all(now))
    }

    fn owes_snapshot(&self) -> bool {
        self.conversation.as_ref().is_some_and(Conversation::owes_snapshot)
    }

    pub(super) fn may_claim(&self, policies: &Policies, now: Timestamp) -> bool {
        self.worker.status == WorkerStatus::Active
            && matches!(self.machine, MachineView::Unknown | MachineView::Running | MachineView::Unlisted)
            && !self.worker.is_stale(self.last_sign_of_life(), now, policies)
    }
}

/// How many healthy workers may be drained in this run.
struct DrainBudget<'a> {
    /// Idle workers, so that the pool keeps its minimum.
    idle: u64,
    /// Workers of another image than `image`, or whose token is about to end. Together with workers that are draining and
    /// workers that have not come up yet they are at most one step, so that most of the pool serves. No worker is replaced
    /// while the pool needs workers and the provider starts none.
    replaced: usize,
    image: Option<&'a Image>,
}

impl<'a> DrainBudget<'a> {
    fn of(observed: &'a Observed, policies: &Policies, now: Timestamp) -> Self {
        let active = observed.workers.iter().filter(|w| w.worker.status == WorkerStatus::Active).count();
        let step = usize::try_from(policies.scaling.spawn_step).unwrap_or(usize::MAX);
        let (state, coming_up) = (observed.state_now(), observed.coming_up());
        let is_short = !observed.ready.is_empty() || (active as u64) < policies.scaling.min_idle_workers;
        let at_once = match state.cool_down_ends() {
            Some(_) if is_short => 0,
            _ => state.spawns_at_once(step, coming_up, now),
        };
        Self {
            idle: (active as u64).saturating_sub(policies.scaling.min_idle_workers),
            replaced: at_once.saturating_sub(observed.workers.len() - active + coming_up),
            image: observed.image.as_ref(),
        }
    }

    /// Why the worker is replaced when it is quiet.
    fn replaces(&self, worker: &Worker, now: Timestamp) -> Option<(DrainReason, String)> {
        if let Some(words) = self.image.and_then(|image| image.difference(worker)) {
            return Some((DrainReason::Outdated, words));
        }
        let ends = worker.has_token_for_less_than(LAST_DAY, now);
        ends.then(|| (DrainReason::TokenEnds, token_ends(worker)))
    }
}

fn active(
    plan: &mut Plan,
    observed: &ObservedWorker,
    budget: &mut DrainBudget<'_>,
    policies: &Policies,
    now: Timestamp,
) {
    let worker = &observed.worker;
    let subject = format!("worker {}", worker.id);
    match observed.machine {
        MachineView::Missing | MachineView::NotRunning => {
            let grace_ends = worker.registered_at + policies.scaling.provider_grace;
            // The grace time is for machines that start. A machine whose worker has given a sign of life has started.
            let has_ended =
                observed.machine == MachineView::NotRunning && observed.last_sign_of_life().is_some();
            if has_ended || now >= grace_ends {
                return drain(plan, observed, DrainReason::MachineGone, "its machine does not run", now);
            }
            if observed.has_expired_lease(now) {
                recover(plan, observed, RecoverCause::Expired, "its lease has expired");
            }
            return plan.wait(subject, "the start of its machine at the provider", Some(grace_ends));
        }
        MachineView::Unlisted => {
            let list = "the provider's list, which lacks its machine although the machine runs";
            plan.wait(subject.clone(), list, None);
        }
        MachineView::Stopping => {
            return drain(plan, observed, DrainReason::Signal, "its machine is stopping", now);
        }
        MachineView::Unknown | MachineView::Running => {}
    }
    let quiet_since = observed.quiet_since(policies, now);
    let idle_at = quiet_since.map(|quiet| quiet + policies.scaling.idle_timeout);
    // Before staleness: a worker without work is drained as idle, even if it is silent.
    if idle_at.is_some_and(|at| at <= now) && budget.idle > 0 {
        budget.idle -= 1;
        let words = format!("no work for its idle timeout, {}", policies.scaling.idle_timeout);
        return drain(plan, observed, DrainReason::Idle, &words, now);
    }
    if let Some((reason, words)) = unfit(observed, policies, now) {
        return drain(plan, observed, reason, &words, now);
    }
    if observed.has_expired_lease(now) {
        return recover(plan, observed, RecoverCause::Expired, "its lease has expired");
    }
    if let Some((reason, words)) = budget.replaces(worker, now) {
        let quiet_at = quiet_since.map(|quiet| quiet + policies.scaling.switch_after_quiet);
        if quiet_at.is_some_and(|at| at <= now) && budget.replaced > 0 {
            budget.replaced -= 1;
            return drain(plan, observed, reason, &words, now);
        }
        let until = quiet_at.filter(|at| *at > now);
        return plan.wait(subject, format!("a quiet moment for its replacement: {words}"), until);
    }
    match idle_at {
        None => {}
        Some(at) if at > now => plan.wait(subject, "work, or its idle timeout", Some(at)),
        Some(_) => {
            plan.wait(
                subject,
                format!("work: scaling.minIdleWorkers is {}", policies.scaling.min_idle_workers),
                None,
            );
        }
    }
}

fn token_ends(worker: &Worker) -> String {
    format!("its token ends at {}", worker.token_ends_at())
}

/// Why a worker cannot continue, even if it has work.
fn unfit(observed: &ObservedWorker, policies: &Policies, now: Timestamp) -> Option<(DrainReason, String)> {
    let worker = &observed.worker;
    let seen = observed.last_sign_of_life();
    if worker.is_stale(seen, now, policies) {
        let silence = now.since(seen.unwrap_or(worker.registered_at));
        return Some((DrainReason::Stale, format!("no sign of life for {silence}")));
    }
    if let Some(time) = observed.ignores_work_for(policies, now) {
        let words = format!("work has been due for {time}, and it claims nothing");
        return Some((DrainReason::Stale, words));
    }
    if observed.is_duplicate(now) {
        return Some((DrainReason::Duplicate, "another worker owns the conversation in its row".to_owned()));
    }
    if worker.must_leave_for_its_token(now, policies) {
        return Some((DrainReason::TokenEnds, token_ends(worker)));
    }
    None
}

/// Drains a worker and recovers its message. A worker that was only silent may extend its lease in the meantime; then the
/// lease is not recovered. If the worker owes a final snapshot, it has until its deadline to upload it. A worker that owes
/// nothing, or whose machine does not run, is torn down in the same run.
fn drain(plan: &mut Plan, observed: &ObservedWorker, reason: DrainReason, words: &str, now: Timestamp) {
    let worker = &observed.worker.id;
    let gone = reason == DrainReason::MachineGone;
    if gone {
        recover(plan, observed, RecoverCause::WorkerGone, words);
    } else if observed.has_expired_lease(now) {
        recover(plan, observed, RecoverCause::Expired, words);
    }
    plan.act(Action::Drain { worker: worker.clone(), reason }, words.to_owned());
    // No provider can tell whether the machine of a stale worker that was started by hand still runs. Its conversation does
    // not wait for a final snapshot.
    let gone = gone || (reason == DrainReason::Stale && observed.worker.is_manual());
    if gone || !observed.owes_snapshot() {
        plan.act(Action::FinishDrain { worker: worker.clone(), gone }, words.to_owned());
        plan.act(Action::Teardown { worker: worker.clone() }, words.to_owned());
    }
}

/// Recovers the message that the worker runs, if it runs one.
fn recover(plan: &mut Plan, observed: &ObservedWorker, cut: RecoverCause, words: &str) {
    if let (Some(conversation), Some(lease)) = (&observed.conversation, observed.lease()) {
        let (conversation, holder) = (conversation.key.clone(), lease.worker.clone());
        plan.act(Action::Recover { conversation, holder, cut }, words.to_owned());
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
    let machine_runs = !matches!(observed.machine, MachineView::Missing | MachineView::NotRunning);
    if let Some(lease) = observed.lease() {
        if lease.expires_at > now && drain_by > now && machine_runs {
            let message = format!("message {} to end", lease.entry.message);
            return plan.wait(format!("worker {worker}"), message, Some(drain_by));
        }
        let cut = if machine_runs && reason.is_our_doing() {
            RecoverCause::Drained
        } else {
            RecoverCause::WorkerGone
        };
        recover(plan, observed, cut, "its worker is draining, and its deadline is over");
    }
    let words = match (observed.owes_snapshot(), machine_runs) {
        (true, true) if drain_by > now => {
            return plan.wait(format!("worker {worker}"), "its final snapshot", Some(drain_by));
        }
        (true, true) => "its deadline is over, without its final snapshot",
        (true, false) => "its machine does not run, and its final snapshot is missing",
        (false, _) => "no message runs on it any more",
    };
    plan.act(Action::FinishDrain { worker: worker.clone(), gone: !machine_runs }, words.to_owned());
    plan.act(Action::Teardown { worker: worker.clone() }, words.to_owned());
}

/// Plans repairs of rows and conversations that contradict each other. The reads of a run may be outdated, so each action
/// reads its subject again. A pool without faults needs no repairs.
fn repair(plan: &mut Plan, observed: &Observed, now: Timestamp) {
    let listed: BTreeSet<_> = observed.ready.iter().map(|c| &c.key).collect();
    for observed in &observed.workers {
        let Some(assignment) = &observed.worker.assignment else { continue };
        if plan.actions.len() >= MAX_REPAIRS {
            return;
        }
        let (worker, conversation) = (&observed.worker.id, &assignment.key);
        let stopping = matches!(observed.worker.status, WorkerStatus::Stopping { .. });
        let owned = observed.conversation.as_ref();
        if stopping || owned.is_some_and(|c| listed.contains(&c.key) && c.is_indexed_by_mistake(now)) {
            let action = Action::Repair { conversation: conversation.clone() };
            let what = if stopping { "is stopping" } else { "owns it, but the ready index lists it" };
            plan.act(action, format!("worker {worker} {what}"));
        }
        let is_foreign = owned.is_none() && assignment.is_seen_by_all(now);
        // The drain of a duplicate worker removes its assignment too.
        let is_drained = observed.worker.status == WorkerStatus::Active && observed.is_duplicate(now);
        if stopping || (is_foreign && !is_drained) {
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
