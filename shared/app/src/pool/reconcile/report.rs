//! The report of a reconcile run.

use std::collections::BTreeMap;

use af_domain::pool::{Action, Plan, Planned, Wait};
use af_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::observe::Observation;
use crate::pool::outcome::Outcome;
use crate::pool::provider::readiness;

/// What a run found, did, and waits for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// When it observed, epoch ms.
    pub at: u64,
    /// Whether it only planned.
    pub dry_run: bool,
    /// What it did, or would do.
    pub actions: Vec<ActionReport>,
    /// How many more there were: the report that is kept names the first only.
    #[serde(default, skip_serializing_if = "is_none")]
    pub actions_omitted: usize,
    /// What it leaves alone for now, and until when at the latest.
    pub waits: Vec<WaitReport>,
    /// Conversations that want a worker and got none.
    pub unserved: usize,
    /// What is missing or failed; it stops nothing else.
    pub errors: Vec<String>,
    /// What works and yet may be a mistake: an app that others use, machines of several images.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Workers by status.
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
    /// `recover`, `repair`, `unassign`, `promote`, `drain`, `settle`, `teardown`, `remove`, `spawn` or `switch`.
    pub action: String,
    /// Which worker or conversation.
    pub subject: String,
    /// Why.
    pub reason: String,
    /// `planned`, `done`, `stale` (somebody was faster), `waiting: …` or `failed: …`.
    pub outcome: String,
}

/// Something that a run leaves alone.
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
    let (machines, volumes) = observation.foreign();
    let shared = readiness::shared(machines, volumes);
    let images = observation.inventory.machines.as_deref().and_then(readiness::images);
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
        Action::Settle { worker, .. } => ("settle", format!("worker {worker}")),
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
        Some(Outcome::NotBegun) => "waiting: the next run, this one's time is up".to_owned(),
        Some(Outcome::Failed(why) | Outcome::NotStarted(why) | Outcome::HeldBack { why, .. }) => {
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
