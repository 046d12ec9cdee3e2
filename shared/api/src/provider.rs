//! Where workers run: the provider config, the readiness of the provider, and what an operator removes there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where and how workers run. `kind` names the provider; each provider has its own fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum ProviderConfig {
    /// Fly Machines.
    Fly(FlyProviderConfig),
    /// Worker processes on this machine.
    Local(LocalProviderConfig),
}

/// The kind of [`FlyProviderConfig`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum FlyKind {
    /// Fly Machines.
    #[default]
    Fly,
}

/// The kind of [`LocalProviderConfig`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum LocalKind {
    /// Worker processes on this machine.
    #[default]
    Local,
}

/// Workers are Fly Machines.
#[serde_with::skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FlyProviderConfig {
    /// `fly`.
    #[schema(inline)]
    pub kind: FlyKind,
    /// The app that machines are in. Other deployments may share it. Required.
    pub app_name: Option<String>,
    /// The organization that you expect the app to belong to. Readiness warns when it is another.
    pub organization_slug: Option<String>,
    /// The image that workers run. Required.
    pub image: Option<String>,
    /// The region of machines and volumes. Required.
    pub region: Option<String>,
    /// What the names of volumes begin with.
    pub volume_name: Option<String>,
    /// Where a volume appears in its machine; `/data` by default.
    pub volume_path: Option<String>,
    /// The size of a volume in GB; 1 by default.
    pub volume_size_gb: Option<u32>,
    /// The size of a machine; Fly's default when it is not set.
    pub guest: Option<GuestConfig>,
    /// Non-secret variables for every worker.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

/// The size of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GuestConfig {
    /// `shared` or `performance`.
    pub cpu_kind: String,
    /// The number of CPUs, 1 to 16.
    pub cpus: u32,
    /// Memory in MB, a multiple of 256.
    pub memory_mb: u32,
}

/// Workers are processes of the machine that runs `agent-factory dev`.
#[serde_with::skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LocalProviderConfig {
    /// `local`.
    #[schema(inline)]
    pub kind: LocalKind,
    /// The name under which machines are shown; `local` by default.
    pub app_name: Option<String>,
    /// What workers count as running. A change replaces them; the program stays the same.
    pub image: Option<String>,
    /// The path that variables name for the worker's folder; `/data` by default.
    pub volume_path: Option<String>,
    /// Non-secret variables for every worker.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

/// The stored provider config, and what an operator should know about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderConfigView {
    /// The config; null while none is set.
    pub config: Option<ProviderConfig>,
    /// What works but may be a mistake.
    pub warnings: Vec<String>,
}

/// Whether workers can run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Readiness {
    /// The kind of the provider; null while no config is set.
    pub kind: Option<String>,
    /// The app that machines are in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_name: Option<String>,
    /// Whether a worker can be started.
    pub ready: bool,
    /// What is missing or failed, in words that name the fix.
    pub missing: Vec<String>,
    /// The number of this deployment's machines.
    pub machines: usize,
    /// The number of this deployment's volumes.
    pub volumes: usize,
    /// What works but may be a mistake: the app is shared or belongs to another organization, or machines run several
    /// images.
    pub warnings: Vec<String>,
}

/// The app to clear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CleanupRequest {
    /// The name of the configured app; for `local`, the name of the provider.
    pub app_name: String,
    /// The name of the app once more, so that a mistake removes nothing.
    pub confirm: String,
    /// Whether to only count what would be removed.
    #[serde(default)]
    pub dry_run: bool,
}

/// What a cleanup found and removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cleanup {
    /// The app.
    pub app_name: String,
    /// Machines.
    pub machines: CleanupCount,
    /// Volumes.
    pub volumes: CleanupCount,
    /// What the cleanup left alone, and why.
    pub warnings: Vec<String>,
    /// Removals that failed. Sent again, the call continues with what remains.
    pub errors: Vec<String>,
}

/// The numbers of a cleanup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CleanupCount {
    /// The number before the cleanup.
    pub found: usize,
    /// The number that is gone.
    pub deleted: usize,
    /// The number that is still there.
    pub remaining: usize,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_kind_decides_which_config_is_read() {
        let fly = json!({"kind": "fly", "appName": "agents", "env": {"LOG": "info"}});
        let read: ProviderConfig = serde_json::from_value(fly.clone()).unwrap();
        assert!(matches!(read, ProviderConfig::Fly(_)));
        assert_eq!(serde_json::to_value(read).unwrap(), fly);
        let read: ProviderConfig = serde_json::from_value(json!({"kind": "local"})).unwrap();
        assert_eq!(read, ProviderConfig::Local(LocalProviderConfig::default()));
        assert!(serde_json::from_value::<ProviderConfig>(json!({"kind": "ecs"})).is_err());
    }
}
