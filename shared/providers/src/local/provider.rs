//! The provider over processes of this machine.
//!
//! A machine is a folder `<data_dir>/workers/<workerId>/` with its record `machine.json`, its volume `data/` and
//! its log `worker.log`. The id of the machine is the worker's id.
//!
//! ```text
//! spawn: intended ─► started ─► (stop) stopping ─► ended ─► (terminate) no record ─► (delete_volume) no folder
//! ```
//!
//! **Invariants**: a worker id has at most one process, and a record never names another worker's process.
//! - The record is written as an intent before the process starts. The process carries the path of its folder in its
//!   environment (`MACHINE_MARK_ENV`). When a reader finds an intent without a process id, it searches the process table
//!   for that mark: a process with the mark is the machine; without one, no process was started. `home.rs` says why the
//!   lock on the records leaves no gap between the two.
//! - A process is identified by its pid *and* by its start time or mark, so that a reused pid is never mistaken for ours.
//!
//! **Failures**: when the parent process dies, nothing is lost: the next parent finds records and processes. A process
//! that died in the meantime is shown as `Failed`, or as `Stopped` if it was asked to stop. The time limit of a stop
//! begins again with the new parent.

use std::sync::Arc;
use std::time::Duration;

use af_domain::ids::WorkerId;
use async_trait::async_trait;

use super::machines::{Machines, StopRequest};
use super::options::LocalOptions;
use crate::error::ProviderError;
use crate::machine::{
    Inventory, Machine, MachineRef, MachineState, Scope, SpawnSpec, Volume, VolumeRef, VolumeSpec,
};
use crate::provider::{Provider, ProviderKind, StopOutcome, Teardown};

/// The pause between two polls of a process that is ending.
const POLL_EVERY: Duration = Duration::from_millis(20);
/// The most polls of `stop` before it answers `Stopping`: 2 s, in which an idle worker ends.
const MAX_STOP_POLLS: u32 = 100;
/// The most repetitions of a kill: 2 s. A process that survives that hangs in the kernel.
const MAX_KILL_POLLS: u32 = 100;

/// Worker processes on this machine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LocalProvider(Arc<Machines>);

impl LocalProvider {
    /// A provider over `options.data_dir`. It changes nothing before the first call.
    pub fn new(options: LocalOptions) -> Self {
        Self(Arc::new(Machines::new(options)))
    }

    /// Stops every machine at the same time and returns when all have ended. A machine that does not end within
    /// `stop_timeout` is killed. Records and volumes stay for the next start. Returns `Unavailable` if the folder
    /// cannot be read or a process survives the kill.
    pub async fn stop_all(&self) -> Result<(), ProviderError> {
        let machines = self.run(|machines| machines.list("")).await?;
        let mut stops = tokio::task::JoinSet::new();
        for machine in machines.into_iter().filter(|machine| machine.state.may_run()) {
            let this = self.clone();
            stops.spawn(async move { this.stop_and_wait(&machine).await });
        }
        while let Some(stop) = stops.join_next().await {
            stop.map_err(|error| ProviderError::unavailable("a stop was aborted", error))??;
        }
        Ok(())
    }

    async fn stop_and_wait(&self, machine: &Machine) -> Result<(), ProviderError> {
        if self.stop(&machine.machine).await? == StopOutcome::Stopped
            || self.ended_within(&machine.worker_id, self.limit_polls()).await?
        {
            return Ok(());
        }
        self.kill(&machine.worker_id).await
    }

    /// Runs `work` on a thread that may block, because it reads files and the process table.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Machines>) -> Result<T, ProviderError> + Send + 'static,
    ) -> Result<T, ProviderError> {
        let machines = self.0.clone();
        tokio::task::spawn_blocking(move || work(&machines))
            .await
            .map_err(|error| ProviderError::unavailable("a call of the local provider was aborted", error))?
    }

    async fn ended_within(&self, worker: &WorkerId, polls: u32) -> Result<bool, ProviderError> {
        for _ in 0..polls {
            let worker = worker.clone();
            if self.run(move |machines| machines.has_ended(&worker)).await? {
                return Ok(true);
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
        Ok(false)
    }

    /// The number of polls within the time limit of a stop.
    fn limit_polls(&self) -> u32 {
        let polls = self.0.options.stop_timeout.as_millis() / POLL_EVERY.as_millis();
        u32::try_from(polls).unwrap_or(u32::MAX)
    }

    /// Kills the machine's process and every process that carries its mark, until none is left.
    async fn kill(&self, worker: &WorkerId) -> Result<(), ProviderError> {
        for _ in 0..MAX_KILL_POLLS {
            let worker = worker.clone();
            if self.run(move |machines| machines.kill_once(&worker)).await? == 0 {
                return Ok(());
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
        let reason = format!("processes of worker {worker} survive SIGKILL");
        Err(ProviderError::Unavailable { reason, source: None })
    }

    /// Kills the machine at the time limit unless it has ended by then. Does not wait for it.
    fn kill_at_limit(&self, worker: WorkerId) {
        let this = self.clone();
        tokio::spawn(async move {
            let outcome = match this.ended_within(&worker, this.limit_polls()).await {
                Ok(true) => Ok(()),
                Ok(false) => {
                    tracing::warn!(worker_id = %worker, "worker did not end in time and is killed");
                    this.kill(&worker).await
                }
                Err(error) => Err(error),
            };
            if let Err(error) = outcome {
                tracing::error!(worker_id = %worker, %error, "worker could not be stopped");
            }
            this.0.forget_stop(&worker);
        });
    }
}

#[async_trait]
impl Provider for LocalProvider {
    fn kind(&self) -> ProviderKind {
        ProviderKind::LOCAL
    }

    fn volume_name(&self, _scope: &Scope, worker_id: &WorkerId) -> Option<String> {
        Some(worker_id.to_string())
    }

    async fn ensure_volume(&self, spec: &VolumeSpec) -> Result<VolumeRef, ProviderError> {
        let (worker, app_name) = (spec.worker_id.clone(), spec.scope.app_name.clone());
        if spec.name != worker.as_str() {
            return Err(ProviderError::Rejected {
                reason: "the name of a local volume must be the worker's id".to_owned(),
            });
        }
        self.run(move |machines| machines.create_volume(&worker, &app_name)).await
    }

    async fn spawn(&self, spec: &SpawnSpec) -> Result<Machine, ProviderError> {
        let (worker, spec) = (spec.worker_id.clone(), spec.clone());
        self.run(move |machines| machines.spawn(&worker, &spec)).await
    }

    async fn list(&self, scope: &Scope) -> Result<Inventory<Machine>, ProviderError> {
        let app_name = scope.app_name.clone();
        let ours = self.run(move |machines| machines.list(&app_name)).await?;
        Ok(Inventory { ours, foreign: 0 })
    }

    async fn inspect(&self, machine: &MachineRef) -> Result<MachineState, ProviderError> {
        let worker = worker_of("machine", &machine.machine_id)?;
        self.run(move |machines| machines.state(&worker)).await
    }

    async fn list_volumes(&self, scope: &Scope) -> Result<Inventory<Volume>, ProviderError> {
        let app_name = scope.app_name.clone();
        let ours = self.run(move |machines| machines.list_volumes(&app_name)).await?;
        Ok(Inventory { ours, foreign: 0 })
    }

    async fn cordon(&self, machine: &MachineRef) -> Result<(), ProviderError> {
        // No load balancer sends work to a process, so a check is enough.
        self.inspect(machine).await.map(drop)
    }

    async fn stop(&self, machine: &MachineRef) -> Result<StopOutcome, ProviderError> {
        let worker = worker_of("machine", &machine.machine_id)?;
        let asked = worker.clone();
        match self.run(move |machines| machines.request_stop(&asked)).await? {
            StopRequest::HasEnded => return Ok(StopOutcome::Stopped),
            StopRequest::Sent => self.kill_at_limit(worker.clone()),
            StopRequest::SentBefore => {}
        }
        let ended = self.ended_within(&worker, MAX_STOP_POLLS).await?;
        Ok(if ended { StopOutcome::Stopped } else { StopOutcome::Stopping })
    }

    async fn terminate(&self, machine: &MachineRef, teardown: Teardown) -> Result<(), ProviderError> {
        let worker = worker_of("machine", &machine.machine_id)?;
        let asked = worker.clone();
        let state = self.run(move |machines| machines.state(&asked)).await?;
        if state.may_run() && teardown == Teardown::WhenStopped {
            return Err(ProviderError::Precondition { reason: format!("machine {worker} still runs") });
        }
        // Also for a machine that has ended, because processes that it started may still run.
        self.kill(&worker).await?;
        self.run(move |machines| machines.remove_machine(&worker)).await
    }

    async fn delete_volume(&self, volume: &VolumeRef) -> Result<(), ProviderError> {
        let worker = worker_of("volume", &volume.volume_id)?;
        self.run(move |machines| machines.remove_volume(&worker)).await
    }
}

/// The worker whose machine or volume has this id. An id that no worker can have does not exist here.
fn worker_of(what: &str, id: &str) -> Result<WorkerId, ProviderError> {
    WorkerId::parse(id).ok().ok_or_else(|| ProviderError::NotFound { what: format!("{what} {id}") })
}
