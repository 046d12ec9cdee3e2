//! The report of a reconcile run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// How to reconcile.
#[derive(Debug, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReconcileQuery {
    /// Whether the run only reports what it would do.
    #[serde(default)]
    pub dry_run: bool,
}

/// The answer when another reconcile runs. That run repeats itself once.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeftToAnother {
    /// `true`.
    pub left_to_another: bool,
}

/// The answer to a call that reconciles.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ReconcileAnswer {
    /// Another reconcile runs.
    LeftToAnother(LeftToAnother),
    /// The report of the run.
    Ran(Report),
}

/// What a run found, did, and waits for.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// When it observed, epoch ms.
    pub at: u64,
    /// Whether it only planned.
    pub dry_run: bool,
    /// What it did, or would do.
    pub actions: Vec<ActionReport>,
    /// How many more actions there were: a stored report names only the first ones.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub actions_omitted: usize,
    /// What it leaves alone for now, and until when at the latest.
    pub waits: Vec<WaitReport>,
    /// Conversations that want a worker and got none.
    pub unserved: usize,
    /// Since when the message waits that has waited longest, epoch ms, also behind a running message; left out when none
    /// waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_waiting_since: Option<u64>,
    /// What is missing or failed. The run does the rest regardless.
    pub errors: Vec<String>,
    /// Possible mistakes that stop nothing: an app that is shared, machines of several images.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Workers by status.
    pub workers: BTreeMap<String, usize>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// One action of a run.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActionReport {
    /// `recover`, `repair`, `unassign`, `promote`, `drain`, `finish_drain`, `teardown`, `remove`, `spawn` or `switch`.
    pub action: String,
    /// The worker or the conversation.
    pub subject: String,
    /// Why.
    pub reason: String,
    /// `planned`, `done`, `stale` (another call was faster), `waiting: …` or `failed: …`.
    pub outcome: String,
}

/// Something that a run leaves alone.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaitReport {
    /// The worker or the conversation.
    pub subject: String,
    /// What it waits for.
    pub waits_for: String,
    /// The latest moment that the wait ends, epoch ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}
