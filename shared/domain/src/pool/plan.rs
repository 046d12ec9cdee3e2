//! `plan`: the decisions of one reconcile run.

use std::collections::BTreeSet;

use super::demand::demand;
use super::orphans::orphans;
use super::{
    Action, Image, MachineView, Observed, ObservedWorker, Plan, Planned, REPAIRS_MAX, ReadyConversation, Wait,
};
use crate::conversation::{Conversation, Lease, RecoverCause};
use crate::policy::Policies;
use crate::time::{Millis, Timestamp};
use crate::worker::{DrainReason, Worker, WorkerStatus};

/// How long before its token ends a quiet worker is replaced: without a token it could not even say good-bye.
const LAST_DAY: Millis = Millis::from_days(1);

/// Decides what to do about `observed` at `now`.
pub fn plan(observed: &Observed, policies: &Policies, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    repair(&mut plan, observed, now);
    let mut to_spare = ToSpare::of(observed, policies, now);
    for observed in &observed.workers {
        match &observed.worker.status {
            WorkerStatus::Active => active(&mut plan, observed, &mut to_spare, policies, now),
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

    /// Since when it has had nothing to do; `None` while it runs a message or has one waiting that is due.
    pub(super) fn quiet_since(&self, policies: &Policies, now: Timestamp) -> Option<Timestamp> {
        let Some(conversation) = &self.conversation else { return Some(self.worker.quiet_since) };
        (!conversation.is_busy(now, policies)).then_some(self.worker.quiet_since.max(conversation.active_at))
    }

    /// Whether its row names a conversation that another worker owns, for so long that everybody sees it.
    fn is_double(&self, now: Timestamp) -> bool {
        self.is_anothers && self.worker.assignment.as_ref().is_some_and(|a| a.is_seen_by_all(now))
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

/// How many workers may go although nothing is wrong with them.
struct ToSpare<'a> {
    /// Idle ones, before the pool has fewer than its minimum.
    idle: u64,
    /// Those of another image than this one, or whose token is about to end. With those that are leaving and those that
    /// have not come up yet, they are no more than come in one step, so that most of the pool serves. None leaves while
    /// a worker is wanted and none comes up.
    replaced: usize,
    image: Option<&'a Image>,
}

impl<'a> ToSpare<'a> {
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

    /// Why the worker is to be replaced in a quiet moment.
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
    to_spare: &mut ToSpare<'_>,
    policies: &Policies,
    now: Timestamp,
) {
    let worker = &observed.worker;
    let subject = format!("worker {}", worker.id);
    match observed.machine {
        MachineView::Missing | MachineView::NotRunning => {
            let grace_ends = worker.registered_at + policies.scaling.provider_grace;
            // The grace is for machines that come up: one that ended under a worker that has spoken, has.
            let has_ended =
                observed.machine == MachineView::NotRunning && observed.last_sign_of_life().is_some();
            if has_ended || now >= grace_ends {
                return leave(plan, observed, DrainReason::MachineGone, "its machine does not run", now);
            }
            if observed.has_expired_lease(now) {
                recover(plan, observed, RecoverCause::Expired, "its lease has expired");
            }
            return plan.wait(subject, "its machine to come up at the provider", Some(grace_ends));
        }
        MachineView::Unlisted => {
            let list = "the provider's list, which lacks its machine although that runs";
            plan.wait(subject.clone(), list, None);
        }
        MachineView::Stopping => {
            return leave(plan, observed, DrainReason::Signal, "its machine is stopping", now);
        }
        MachineView::Unknown | MachineView::Running => {}
    }
    let quiet_since = observed.quiet_since(policies, now);
    let idle_at = quiet_since.map(|quiet| quiet + policies.scaling.idle_timeout);
    // Before staleness: a worker that nobody needs may go in peace, whatever it says.
    if idle_at.is_some_and(|at| at <= now) && to_spare.idle > 0 {
        to_spare.idle -= 1;
        let words = format!("no work for its idle timeout, {}", policies.scaling.idle_timeout);
        return leave(plan, observed, DrainReason::Idle, &words, now);
    }
    if let Some((reason, words)) = unfit(observed, policies, now) {
        return leave(plan, observed, reason, &words, now);
    }
    if observed.has_expired_lease(now) {
        return recover(plan, observed, RecoverCause::Expired, "its lease has expired");
    }
    if let Some((reason, words)) = to_spare.replaces(worker, now) {
        let quiet_at = quiet_since.map(|quiet| quiet + policies.scaling.switch_after_quiet);
        if quiet_at.is_some_and(|at| at <= now) && to_spare.replaced > 0 {
            to_spare.replaced -= 1;
            return leave(plan, observed, reason, &words, now);
        }
        let until = quiet_at.filter(|at| *at > now);
        return plan.wait(subject, format!("a quiet moment to be replaced: {words}"), until);
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

/// Why a worker cannot go on, busy or not.
fn unfit(observed: &ObservedWorker, policies: &Policies, now: Timestamp) -> Option<(DrainReason, String)> {
    let worker = &observed.worker;
    let seen = observed.last_sign_of_life();
    if worker.is_stale(seen, now, policies) {
        let silence = now.since(seen.unwrap_or(worker.registered_at));
        return Some((DrainReason::Stale, format!("no sign of life for {silence}")));
    }
    if observed.is_double(now) {
        return Some((DrainReason::Duplicate, "another worker owns the conversation in its row".to_owned()));
    }
    if worker.must_leave_for_its_token(now, policies) {
        return Some((DrainReason::TokenEnds, token_ends(worker)));
    }
    None
}

/// A worker that shall go. What it may have run goes back; one that was only silent may come back meanwhile and
/// extend its lease, which then is not recovered. It is told to leave, and when it owes a final snapshot it has until
/// its deadline to upload it. One that owes nothing, or whose machine does not run, goes in the same run.
fn leave(plan: &mut Plan, observed: &ObservedWorker, reason: DrainReason, words: &str, now: Timestamp) {
    let worker = &observed.worker.id;
    let gone = reason == DrainReason::MachineGone;
    if gone {
        recover(plan, observed, RecoverCause::WorkerGone, words);
    } else if observed.has_expired_lease(now) {
        recover(plan, observed, RecoverCause::Expired, words);
    }
    plan.act(Action::Drain { worker: worker.clone(), reason }, words.to_owned());
    if gone || !observed.owes_snapshot() {
        plan.act(Action::Settle { worker: worker.clone(), gone }, words.to_owned());
        plan.act(Action::Teardown { worker: worker.clone() }, words.to_owned());
    }
}

/// Gives back what it runs, if it runs anything.
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
        recover(plan, observed, cut, "its worker is draining and its time is up");
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
        if stopping || owned.is_some_and(|c| listed.contains(&c.key) && c.is_indexed_by_mistake(now)) {
            let action = Action::Repair { conversation: conversation.clone() };
            let what = if stopping { "is stopping" } else { "owns it, yet it stands in the ready index" };
            plan.act(action, format!("worker {worker} {what}"));
        }
        let is_foreign = owned.is_none() && assignment.is_seen_by_all(now);
        // An active one of two leaves, and its assignment goes with that.
        let leaves = observed.worker.status == WorkerStatus::Active && observed.is_double(now);
        if stopping || (is_foreign && !leaves) {
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
