//! The provider that runs workers: whether it is ready, and how an operator clears it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether workers can run.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Readiness {
    /// The configured kind; null without a config.
    pub kind: Option<String>,
    /// The app that machines are in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_name: Option<String>,
    /// Whether a worker can be started.
    pub ready: bool,
    /// What is missing or failed. Each entry names the fix.
    pub missing: Vec<String>,
    /// Machines of this deployment.
    pub machines: usize,
    /// Volumes of this deployment.
    pub volumes: usize,
    /// Possible mistakes that stop nothing: an app that is shared or belongs to another organization, machines of
    /// several images.
    pub warnings: Vec<String>,
}

/// The app to clear.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CleanupRequest {
    /// The app.
    pub app_name: String,
    /// The app once more, so that a slip removes nothing.
    pub confirm: String,
}

/// What a cleanup found and removed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cleanup {
    /// The app that was cleared.
    pub app_name: String,
    /// Machines.
    pub machines: Count,
    /// Volumes.
    pub volumes: Count,
    /// What was left alone, and why.
    pub warnings: Vec<String>,
    /// Removals that failed. The same call, sent again, continues with what remains.
    pub errors: Vec<String>,
}

/// How far a cleanup came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Count {
    /// How many the app had.
    pub found: usize,
    /// How many were removed.
    pub deleted: usize,
    /// How many are still there.
    pub remaining: usize,
}
