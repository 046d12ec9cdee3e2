//! The values that go to and come from a provider.

use std::collections::BTreeMap;
use std::fmt;

use af_domain::ids::WorkerId;

/// Where a deployment's machines live: nothing outside of it is touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The provider's grouping of machines (Fly: the app).
    pub app_name: String,
    /// Whose machines they are; every machine carries it where several deployments can share an app.
    pub deployment_id: String,
    /// What the operator calls volumes: names begin with it where the provider lets names be chosen.
    pub volume_name: String,
}

/// A machine as the worker's row remembers it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MachineRef {
    /// The grouping that it is in.
    pub app_name: String,
    /// The provider's id of it.
    pub machine_id: String,
    /// Where it runs.
    pub region: String,
}

/// What a machine is doing, in our words: providers have many more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MachineState {
    /// Made, on its way to running (also: restarting, being updated or replaced).
    Starting,
    /// Runs.
    Running,
    /// Told to end and not there yet.
    Stopping,
    /// Ended as it should.
    Stopped,
    /// Ended by itself with an error, was lost, or never came up.
    Failed,
    /// The provider has removed it and only still shows it.
    Gone,
}

impl MachineState {
    /// Whether a worker in this machine can be expected to call us.
    #[must_use]
    pub const fn is_running(self) -> bool {
        matches!(self, Self::Starting | Self::Running)
    }

    /// Whether it may still run something, and so must be stopped before it can be removed.
    #[must_use]
    pub const fn may_run(self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Stopping)
    }
}

/// A machine as the provider shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// How to name it in further calls.
    pub machine: MachineRef,
    /// The worker that it was made for.
    pub worker_id: WorkerId,
    /// What it is doing.
    pub state: MachineState,
    /// The image that it runs.
    pub image: String,
}

/// A volume in further calls and in the worker's row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VolumeRef {
    /// The grouping that it is in.
    pub app_name: String,
    /// The provider's id of it.
    pub volume_id: String,
    /// The name that we chose.
    pub name: String,
}

/// A volume as the provider shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// How to name it in further calls.
    pub volume: VolumeRef,
    /// The machine that has it.
    pub attached_to: Option<String>,
}

/// What a listing found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory<T> {
    /// Ours.
    pub ours: Vec<T>,
    /// How many were found besides ours; more than none is worth a warning.
    pub foreign: usize,
}

/// All that is in a place, for people who look at it or clear it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// Machines, with the number of those that are not this deployment's.
    pub machines: Inventory<Machine>,
    /// Volumes, likewise.
    pub volumes: Inventory<Volume>,
}

/// The volume that a worker shall have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeSpec {
    /// Where.
    pub scope: Scope,
    /// Whose.
    pub worker_id: WorkerId,
    /// The name from [`crate::Provider::volume_name`], as it stands in the worker's row.
    pub name: String,
    /// The region; the machine must be in the same one.
    pub region: String,
    /// Its size in GB.
    pub size_gb: u32,
}

/// The size of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// The provider's word for the kind of CPU.
    pub cpu_kind: String,
    /// How many.
    pub cpus: u32,
    /// Memory in MB.
    pub memory_mb: u32,
}

/// Environment variables of a machine. They hold the worker's token and bridge secrets: `Debug` shows only names.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SpawnEnv(BTreeMap<String, String>);

impl SpawnEnv {
    /// Looks at one value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Names and values, for the provider that sends them.
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

/// The machine that a worker shall have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpawnSpec {
    /// Where.
    pub scope: Scope,
    /// For whom: the machine carries this id, so that a lost answer is no lost machine.
    pub worker_id: WorkerId,
    /// What it runs. The `local` provider runs its configured program and only remembers this.
    pub image: String,
    /// The region.
    pub region: String,
    /// Its size; the provider's own default when none.
    pub guest: Option<Guest>,
    /// The environment of the worker.
    pub env: SpawnEnv,
    /// Its volume, made before.
    pub volume: Option<VolumeRef>,
    /// Where the volume appears in the machine. The `local` provider has its own place, and says so wherever a variable
    /// names this one.
    pub volume_path: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_of_an_environment_shows_names_only() {
        let env: SpawnEnv =
            [("AGENT_FACTORY_WORKER_TOKEN".to_owned(), "secret-token".to_owned())].into_iter().collect();
        let shown = format!("{env:?}");
        assert!(shown.contains("AGENT_FACTORY_WORKER_TOKEN") && !shown.contains("secret-token"), "{shown}");
    }
}
