//! The port: what the pool asks of a provider.

use std::fmt;

use af_domain::ids::WorkerId;
use async_trait::async_trait;

use crate::config::PoolSettings;
use crate::error::ProviderError;
use crate::machine::{
    Inventory, Machine, MachineRef, MachineState, Scope, SpawnSpec, Survey, Volume, VolumeRef, VolumeSpec,
};
use crate::readiness::ProviderReadiness;

/// The kind of a provider, as the API and the table show it. Each provider's folder adds its own constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProviderKind(&'static str);

impl ProviderKind {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// The name of the kind.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for ProviderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// How much force a [`Provider::terminate`] may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Teardown {
    /// Removes only a machine that no longer runs; otherwise the answer is `Precondition`.
    WhenStopped,
    /// Removes a machine even while it runs, for one that a stop did not end within its limit.
    Force,
}

/// The state of a machine when [`Provider::stop`] answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopOutcome {
    /// The machine no longer runs.
    Stopped,
    /// The machine got the signal and has not ended yet. The provider kills it at its own limit.
    Stopping,
}

/// A provider of machines and their volumes.
///
/// Every call may be repeated, because the first answer may have been lost. The caller writes the worker's row (with the
/// name of its volume) before it calls `ensure_volume` and `spawn`. It removes the row only after `terminate` and
/// `delete_volume` succeeded or answered `NotFound`.
#[async_trait]
pub trait Provider: Send + Sync {
    /// The kind of this provider.
    fn kind(&self) -> ProviderKind;

    /// Whether the provider has the credentials that every call needs. The text of the error names the fix.
    async fn check_credentials(&self) -> Result<(), ProviderError> {
        Ok(())
    }

    /// The name of a worker's volume; `None` if the provider has no volumes. It is chosen before the volume exists. The
    /// same worker always gets the same name.
    fn volume_name(&self, scope: &Scope, worker_id: &WorkerId) -> Option<String>;

    /// Whether a volume of this name is the worker's, even if `scope.volume_name` has changed since.
    fn is_volume_of(&self, scope: &Scope, worker_id: &WorkerId, name: &str) -> bool {
        self.volume_name(scope, worker_id).as_deref() == Some(name)
    }

    /// Creates the volume of that name, or finds it.
    async fn ensure_volume(&self, spec: &VolumeSpec) -> Result<VolumeRef, ProviderError>;

    /// Creates and starts the worker's machine. When the worker has a machine in any state, the answer is that machine.
    async fn spawn(&self, spec: &SpawnSpec) -> Result<Machine, ProviderError>;

    /// The machines of this deployment, each with the id of its worker. Machines of others need not be counted; see
    /// `list_all`.
    async fn list(&self, scope: &Scope) -> Result<Inventory<Machine>, ProviderError>;

    /// The state of one machine, read directly. A list may lack a machine for a while.
    async fn inspect(&self, machine: &MachineRef) -> Result<MachineState, ProviderError>;

    /// The volumes of this deployment, with the number of others in the same app.
    async fn list_volumes(&self, scope: &Scope) -> Result<Inventory<Volume>, ProviderError>;

    /// The machines of this deployment, with the number of others in the same app. May take more requests than `list`.
    async fn list_all(&self, scope: &Scope) -> Result<Inventory<Machine>, ProviderError> {
        self.list(scope).await
    }

    /// Machines and volumes, with the numbers of others in the same app.
    async fn survey(&self, scope: &Scope) -> Result<Survey, ProviderError> {
        Ok(Survey { machines: self.list_all(scope).await?, volumes: self.list_volumes(scope).await? })
    }

    /// Whether workers can run in `scope`, and what is there. A failure of the provider is part of the answer.
    async fn readiness(&self, scope: &Scope, _settings: &PoolSettings) -> ProviderReadiness {
        match self.survey(scope).await {
            Ok(survey) => ProviderReadiness::of(&survey),
            Err(error) => ProviderReadiness::missing(error.to_string()),
        }
    }

    /// Keeps new work away from the machine during its teardown.
    async fn cordon(&self, machine: &MachineRef) -> Result<(), ProviderError>;

    /// Sends SIGTERM to the machine and waits a short time for its end. The provider kills it at its own limit.
    async fn stop(&self, machine: &MachineRef) -> Result<StopOutcome, ProviderError>;

    /// Removes the machine.
    async fn terminate(&self, machine: &MachineRef, teardown: Teardown) -> Result<(), ProviderError>;

    /// Removes the volume and everything on it; `Precondition` while a machine has it.
    async fn delete_volume(&self, volume: &VolumeRef) -> Result<(), ProviderError>;
}
