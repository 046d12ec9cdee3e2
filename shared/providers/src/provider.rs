//! The port: what the pool asks of a provider.

use std::fmt;
use std::str::FromStr;

use af_domain::ids::WorkerId;
use async_trait::async_trait;

use crate::{
    Inventory, Machine, MachineRef, MachineState, ProviderError, Scope, SpawnSpec, Survey, Volume, VolumeRef,
    VolumeSpec,
};

/// The providers that the system knows by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProviderKind {
    /// Fly Machines.
    Fly,
    /// AWS ECS.
    Ecs,
    /// RunPod.
    Runpod,
    /// Worker processes on this machine.
    Local,
}

/// A provider name that the system does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("provider kind must be one of fly, ecs, runpod, local")]
pub struct UnknownProviderKind;

impl ProviderKind {
    /// The kind as it is written in the API and in the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fly => "fly",
            Self::Ecs => "ecs",
            Self::Runpod => "runpod",
            Self::Local => "local",
        }
    }
}

impl fmt::Display for ProviderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ProviderKind {
    type Err = UnknownProviderKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Fly, Self::Ecs, Self::Runpod, Self::Local]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(UnknownProviderKind)
    }
}

/// What a provider can do and what it must be told, so that callers need not know the kinds apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether a machine gets a volume of its own.
    pub volumes: bool,
    /// Whether `cordon` keeps work away; otherwise it only checks that the machine is there.
    pub cordon: bool,
    /// Fields of the provider config without which nothing can be spawned (`Missing providerConfig.<field>.`).
    pub required_config: &'static [&'static str],
}

/// How much force a [`Provider::terminate`] may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Teardown {
    /// Only a machine that no longer runs; otherwise `Precondition`.
    WhenStopped,
    /// Also a machine that runs: for one that a stop did not end within its limit.
    Force,
}

/// How far a [`Provider::stop`] had come when it answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopOutcome {
    /// The machine runs no more.
    Stopped,
    /// The machine was told and has not ended yet; the provider goes on by itself, to a kill at its limit.
    Stopping,
}

/// One place where machines run.
///
/// Every call may be repeated: the answer to the first may have been lost. The caller writes the worker's row
/// (with its volume's name) before it calls `ensure_volume` and `spawn`, and removes the row only after
/// `terminate` and `delete_volume` succeeded or answered `NotFound`.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Which provider this is.
    fn kind(&self) -> ProviderKind;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Whether it has the credentials without which no call can succeed; the error names the fix.
    async fn ready(&self) -> Result<(), ProviderError> {
        Ok(())
    }

    /// The name of a worker's volume, chosen before the volume exists: the same worker always gets the same name.
    fn volume_name(&self, scope: &Scope, worker_id: &WorkerId) -> String;

    /// Whether a volume of this name is the worker's, also when `scope` named volumes otherwise at that time.
    fn is_volume_of(&self, scope: &Scope, worker_id: &WorkerId, name: &str) -> bool {
        name == self.volume_name(scope, worker_id)
    }

    /// Creates the volume of that name, or finds it.
    async fn ensure_volume(&self, spec: &VolumeSpec) -> Result<VolumeRef, ProviderError>;

    /// Creates and starts the worker's machine. A worker that has a machine, in whatever state, gets that one.
    async fn spawn(&self, spec: &SpawnSpec) -> Result<Machine, ProviderError>;

    /// The machines of this deployment, each with its worker's id. Others may go uncounted, see `list_all`.
    async fn list(&self, scope: &Scope) -> Result<Inventory<Machine>, ProviderError>;

    /// How this one machine is, whatever the lists say: they may lack one for a while.
    async fn look(&self, machine: &MachineRef) -> Result<MachineState, ProviderError>;

    /// The volumes of this deployment.
    async fn list_volumes(&self, scope: &Scope) -> Result<Inventory<Volume>, ProviderError>;

    /// The same machines, with all that share the place counted. May take more requests than `list`.
    async fn list_all(&self, scope: &Scope) -> Result<Inventory<Machine>, ProviderError> {
        self.list(scope).await
    }

    /// Machines and volumes, with all that share the place counted.
    async fn survey(&self, scope: &Scope) -> Result<Survey, ProviderError> {
        Ok(Survey { machines: self.list_all(scope).await?, volumes: self.list_volumes(scope).await? })
    }

    /// The organization that the place belongs to, where the provider has such; for people who look whether it is theirs.
    async fn organization(&self, _scope: &Scope) -> Result<Option<String>, ProviderError> {
        Ok(None)
    }

    /// Keeps new work away from the machine while it is torn down.
    async fn cordon(&self, machine: &MachineRef) -> Result<(), ProviderError>;

    /// Asks the machine to end (SIGTERM) and waits a little for it. The provider kills it at its own limit.
    async fn stop(&self, machine: &MachineRef) -> Result<StopOutcome, ProviderError>;

    /// Removes the machine.
    async fn terminate(&self, machine: &MachineRef, teardown: Teardown) -> Result<(), ProviderError>;

    /// Removes the volume and everything on it; `Precondition` while a machine has it.
    async fn delete_volume(&self, volume: &VolumeRef) -> Result<(), ProviderError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_read_back_from_its_name() {
        for kind in [ProviderKind::Fly, ProviderKind::Ecs, ProviderKind::Runpod, ProviderKind::Local] {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        assert_eq!("Fly".parse::<ProviderKind>(), Err(UnknownProviderKind));
    }
}
