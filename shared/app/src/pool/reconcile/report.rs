//! The report of a reconcile run.

use std::collections::BTreeMap;

use af_api::reconcile::{ActionReport, Report, WaitReport};
use af_domain::pool::{Action, Plan, Planned, Wait};
use af_domain::time::{Millis, Timestamp};
use af_providers::{mixed_images_warning, shared_app_warning};

use super::observe::Observation;
use crate::pool::outcome::Outcome;

/// How long a message may wait behind a running one before the report warns of it.
const LONG_WAIT: Millis = Millis::from_secs(5 * 60);

pub(super) fn report(
    observation: &Observation,
    plan: Plan,
    actions: Vec<(Planned, Option<Outcome>)>,
    at: Timestamp,
) -> Report {
    let mut workers = BTreeMap::new();
    for observed in &observation.observed.workers {
        *workers.entry(observed.worker.status.name().to_owned()).or_default() += 1;
    }
    Report {
        at: at.as_millis(),
        dry_run: false,
        actions: actions
            .into_iter()
            .map(|(planned, done)| action_report(observation, planned, done))
            .collect(),
        actions_omitted: 0,
        waits: plan.waits.into_iter().map(wait_report).collect(),
        unserved: plan.unserved,
        oldest_waiting_since: oldest_waiting(observation, at).map(Timestamp::as_millis),
        errors: observation.errors.clone(),
        warnings: warnings(observation, at),
        workers,
    }
}

/// Since when the message waits that has waited longest.
fn oldest_waiting(observation: &Observation, now: Timestamp) -> Option<Timestamp> {
    let unowned = observation.observed.ready.iter().filter_map(|c| c.ready.time()).filter(|at| *at <= now);
    let owned =
        observation.observed.workers.iter().filter_map(|w| w.conversation.as_ref()?.waiting_since(now));
    unowned.chain(owned).min()
}

/// The messages that have waited too long behind one that runs.
fn long_waits(observation: &Observation, now: Timestamp) -> impl Iterator<Item = String> {
    let behind = observation.observed.workers.iter().filter_map(|w| w.conversation.as_ref());
    behind.filter_map(move |conversation| {
        let (lease, since) = (conversation.lease.as_ref()?, conversation.waiting_since(now)?);
        let (wait, run) = (now.since(since), now.since(lease.claimed_at));
        let (id, message, worker) = (&conversation.id, &lease.entry.message, &lease.worker);
        (wait >= LONG_WAIT).then(|| {
            format!("conversation {id}: a message has waited for {wait} behind {message}, which has run for {run} on worker {worker}")
        })
    })
}

fn warnings(observation: &Observation, now: Timestamp) -> Vec<String> {
    let foreign = observation.inventory.foreign;
    let shared = shared_app_warning(foreign.machines, foreign.volumes);
    let images = observation.inventory.machines.as_deref().and_then(mixed_images_warning);
    shared.into_iter().chain(images).chain(long_waits(observation, now)).collect()
}

fn action_report(observation: &Observation, planned: Planned, done: Option<Outcome>) -> ActionReport {
    let conversation = |key| format!("conversation {}", observation.name_of(key));
    let (action, subject) = match &planned.action {
        Action::Recover { conversation: key, .. } => ("recover", conversation(key)),
        Action::Repair { conversation: key } => ("repair", conversation(key)),
        Action::Unassign { worker } => ("unassign", format!("worker {worker}")),
        Action::Promote { conversation: key } => ("promote", conversation(key)),
        Action::Drain { worker, .. } => ("drain", format!("worker {worker}")),
        Action::FinishDrain { worker, .. } => ("finish_drain", format!("worker {worker}")),
        Action::Teardown { worker } => ("teardown", format!("worker {worker}")),
        Action::Remove { orphan, .. } => ("remove", orphan.to_string()),
        Action::Spawn { conversation: Some(key) } => ("spawn", format!("worker for {}", conversation(key))),
        Action::Spawn { conversation: None } => ("spawn", "spare worker".to_owned()),
        Action::AskToSwitch { conversation: key } => ("switch", conversation(key)),
    };
    let outcome = match done {
        None => "planned".to_owned(),
        Some(Outcome::Done) => "done".to_owned(),
        Some(Outcome::Stale) => "stale".to_owned(),
        Some(Outcome::Waiting(what)) => format!("waiting: {what}"),
        Some(Outcome::OutOfTime) => "waiting: the next run, because the time of this one is up".to_owned(),
        Some(Outcome::Failed(why) | Outcome::SpawnFailed(why) | Outcome::RateLimited { why, .. }) => {
            format!("failed: {why}")
        }
    };
    ActionReport { action: action.to_owned(), subject, reason: planned.reason, outcome }
}

fn wait_report(wait: Wait) -> WaitReport {
    WaitReport {
        subject: wait.subject,
        waits_for: wait.waits_for,
        until: wait.until.map(Timestamp::as_millis),
    }
}
