//! The report of a reconcile run.

use std::collections::BTreeMap;

use af_domain::pool::{Action, Plan, Planned, Wait};
use af_domain::time::Timestamp;
use af_providers::{mixed_images_warning, shared_app_warning};
use serde::{Deserialize, Serialize};

use super::observe::Observation;
use crate::pool::outcome::Outcome;

/// What a run did, what failed, and what it waits for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// When the run observed, epoch ms.
    pub at: u64,
    /// Whether the run only planned.
    pub dry_run: bool,
    /// What the run did, or would do.
    pub actions: Vec<ActionReport>,
    /// The number of actions that the stored report leaves out.
    #[serde(default, skip_serializing_if = "is_none")]
    pub actions_omitted: usize,
    /// What the run leaves for later, what each item waits for, and until when at the latest.
    pub waits: Vec<WaitReport>,
    /// The number of conversations that want a worker and got none.
    pub unserved: usize,
    /// What is missing or has failed. Errors do not stop the rest of a run.
    pub errors: Vec<String>,
    /// What works but may be a mistake: the app is shared, or machines run several images.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// The number of workers by status.
    pub workers: BTreeMap<String, usize>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
const fn is_none(count: &usize) -> bool {
    *count == 0
}

/// One action of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionReport {
    /// `recover`, `repair`, `unassign`, `promote`, `drain`, `finish_drain`, `teardown`, `remove`, `spawn` or `switch`.
    pub action: String,
    /// The worker, conversation, machine or volume.
    pub subject: String,
    /// Why.
    pub reason: String,
    /// `planned`, `done`, `stale` (its condition no longer held), `waiting: …` or `failed: …`.
    pub outcome: String,
}

/// Something that a run leaves for later.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WaitReport {
    /// What waits.
    pub subject: String,
    /// What for.
    pub waits_for: String,
    /// Until when at the latest, epoch ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

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
        errors: observation.errors.clone(),
        warnings: warnings(observation),
        workers,
    }
}

fn warnings(observation: &Observation) -> Vec<String> {
    let foreign = observation.inventory.foreign;
    let shared = shared_app_warning(foreign.machines, foreign.volumes);
    let images = observation.inventory.machines.as_deref().and_then(mixed_images_warning);
    shared.into_iter().chain(images).collect()
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
