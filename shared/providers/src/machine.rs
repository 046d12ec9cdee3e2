//! The values that a provider takes and answers.

use std::collections::BTreeMap;
use std::fmt;

use af_domain::ids::WorkerId;
use serde::{Deserialize, Serialize};

/// The machines and volumes of a deployment: a provider changes nothing outside of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The provider's grouping of machines (Fly: the app).
    pub app_name: String,
    /// The deployment. Every machine carries it where several deployments can share an app.
    pub deployment_id: String,
    /// What the names of volumes begin with, where the provider has names that we choose.
    pub volume_name: String,
}

/// A machine, as it is named in calls and stored in the worker's row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MachineRef {
    /// The provider's grouping that the machine is in.
    pub app_name: String,
    /// The provider's id of the machine.
    pub machine_id: String,
    /// Where it runs.
    pub region: String,
}

/// The state of a machine. Providers have many more states, which they map to these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MachineState {
    /// Created and about to run. Also: restarting, being updated or replaced.
    Starting,
    /// It runs.
    Running,
    /// It was asked to end and has not ended yet.
    Stopping,
    /// It ended because it was asked to, or without an error.
    Stopped,
    /// It ended with an error, was lost, or never started.
    Failed,
    /// The provider has removed it and only lists it still.
    Gone,
}

impl MachineState {
    /// Whether a worker is expected to run in this machine.
    pub const fn is_running(self) -> bool {
        matches!(self, Self::Starting | Self::Running)
    }

    /// Whether a process may still run in this machine, so that it must be stopped before its removal.
    pub const fn may_run(self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Stopping)
    }
}

/// A machine, as the provider lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Its name in further calls.
    pub machine: MachineRef,
    /// The worker that it was created for.
    pub worker_id: WorkerId,
    /// Its state.
    pub state: MachineState,
    /// The image that it runs.
    pub image: String,
}

/// A volume, as it is named in calls and stored in the worker's row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VolumeRef {
    /// The provider's grouping that the volume is in.
    pub app_name: String,
    /// The provider's id of the volume.
    pub volume_id: String,
    /// The name that we chose.
    pub name: String,
}

/// A volume, as the provider lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Its name in further calls.
    pub volume: VolumeRef,
    /// The machine that the volume is attached to.
    pub attached_to: Option<String>,
}

/// The result of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory<T> {
    /// The machines or volumes of this deployment.
    pub ours: Vec<T>,
    /// The number of machines or volumes of others. If it is not zero, operators get a warning.
    pub foreign: usize,
}

/// Everything in the scope, for operators who inspect or clear it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// The machines of this deployment, with the number of others.
    pub machines: Inventory<Machine>,
    /// The volumes of this deployment, with the number of others.
    pub volumes: Inventory<Volume>,
}

/// The volume to create for a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeSpec {
    /// Where to create it.
    pub scope: Scope,
    /// The worker that it is for.
    pub worker_id: WorkerId,
    /// The name that `Provider::volume_name` has chosen, which is stored in the worker's row.
    pub name: String,
    /// The region, which must be the machine's.
    pub region: String,
    /// Its size in GB.
    pub size_gb: u32,
}

/// The size of a machine, as it is stored in a config and used in calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Guest {
    /// The provider's name for the kind of CPU.
    pub cpu_kind: String,
    /// The number of CPUs.
    pub cpus: u32,
    /// Memory in MB.
    pub memory_mb: u32,
}

/// Environment variables of a machine. They hold the worker's token and bridge secrets, so `Debug` shows only names.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SpawnEnv(BTreeMap<String, String>);

impl SpawnEnv {
    /// The value of the variable `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Names and values, for a provider that sends them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl From<BTreeMap<String, String>> for SpawnEnv {
    fn from(variables: BTreeMap<String, String>) -> Self {
        Self(variables)
    }
}

impl FromIterator<(String, String)> for SpawnEnv {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

impl fmt::Debug for SpawnEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.keys().map(|name| (name, "…"))).finish()
    }
}

/// The machine to create for a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpawnSpec {
    /// Where to create it.
    pub scope: Scope,
    /// The worker that it is for. The machine carries this id, so that a machine whose answer was lost is found again.
    pub worker_id: WorkerId,
    /// The image. The `local` provider runs its own program and only stores the image.
    pub image: String,
    /// The region.
    pub region: String,
    /// The size; `None` stands for the provider's default.
    pub guest: Option<Guest>,
    /// The environment of the worker.
    pub env: SpawnEnv,
    /// The worker's volume, which exists already; `None` where the provider has no volumes.
    pub volume: Option<VolumeRef>,
    /// Where the volume appears in the machine. The `local` provider has no mounts: it replaces this path in variables
    /// by the folder of the worker.
    pub volume_path: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_of_an_environment_redacts_the_values() {
        let env: SpawnEnv =
            [("AGENT_FACTORY_WORKER_TOKEN".to_owned(), "secret-token".to_owned())].into_iter().collect();
        let shown = format!("{env:?}");
        assert!(shown.contains("AGENT_FACTORY_WORKER_TOKEN") && !shown.contains("secret-token"), "{shown}");
    }
}
