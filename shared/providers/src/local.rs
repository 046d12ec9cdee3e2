//! `local`: worker processes on this machine.
//!
//! A machine is a folder `<data_dir>/workers/<workerId>/` with its record `machine.json`, its volume `data/` and
//! its log `worker.log`; its id is the worker's id.
//!
//! ```text
//! spawn: intended ─► started ─► (stop) stopping ─► ended ─► (terminate) no record ─► (delete_volume) no folder
//! ```
//!
//! **Invariants**: a worker id has at most one process, and a record never names a process that is not its own.
//! - The intent is written before the process is started, and the process carries its folder's path in its
//!   environment (`MACHINE_MARK_ENV`). Whoever finds an intent without a process id looks for that mark in the
//!   process table: found, it is the machine; not found, nothing was started. `local/home.rs` says why the lock on
//!   the records leaves no gap between the two.
//! - A process is known by pid *and* start time or mark, so a reused pid is never taken for ours.
//!
//! **Failures**: a parent that dies loses nothing: the next one finds records and processes. A process that died
//! meanwhile is shown as `Failed` (or `Stopped`, when it had been told to). A stop's time limit starts anew when
//! the parent does.

mod home;
mod machines;
mod process;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use af_domain::ids::WorkerId;
use async_trait::async_trait;

use self::machines::{Machines, Told};
pub use self::process::MACHINE_MARK_ENV;
use crate::{
    Capabilities, Inventory, Machine, MachineRef, MachineState, Provider, ProviderError, ProviderKind, Scope,
    SpawnSpec, StopOutcome, Teardown, Volume, VolumeRef, VolumeSpec,
};

/// Between two looks at a process that is ending.
const POLL_EVERY: Duration = Duration::from_millis(20);
/// How often `stop` looks before it answers `Stopping`: 2 s, in which an idle worker has long ended.
const STOP_POLLS_MAX: u32 = 100;
/// How often a kill is repeated and looked after: 2 s. What survives that hangs in the kernel.
const KILL_POLLS_MAX: u32 = 100;

/// What the machines of this provider run, and where.
#[derive(Clone, Debug)]
pub struct LocalConfig {
    /// The worker program: a path, or a name to be found in PATH.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Where `workers/` lies.
    pub data_dir: PathBuf,
    /// From SIGTERM to SIGKILL, in real time.
    pub stop_timeout: Duration,
}

/// Worker processes on this machine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LocalProvider(Arc<Machines>);

impl LocalProvider {
    /// A provider over `config.data_dir`; nothing is touched before the first call.
    #[must_use]
    pub fn new(config: LocalConfig) -> Self {
        Self(Arc::new(Machines::new(config)))
    }

    /// Stops every machine at the same time and returns when all have ended, those that do not end within
    /// `stop_timeout` by a kill. Records and volumes stay: the next start finds them.
    ///
    /// # Errors
    /// `Unavailable` when the folder cannot be read or a process survives even the kill.
    pub async fn stop_all(&self) -> Result<(), ProviderError> {
        let machines = self.run(|machines| machines.list("")).await?;
        let mut stops = tokio::task::JoinSet::new();
        for machine in machines.into_iter().filter(|machine| machine.state.may_run()) {
            let this = self.clone();
            stops.spawn(async move { this.stop_and_wait(&machine).await });
        }
        while let Some(stop) = stops.join_next().await {
            stop.map_err(|error| ProviderError::unavailable("a stop was cut off", error))??;
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

    /// Runs `work`, which reads files and the process table, where blocking is allowed.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Machines>) -> Result<T, ProviderError> + Send + 'static,
    ) -> Result<T, ProviderError> {
        let machines = self.0.clone();
        tokio::task::spawn_blocking(move || work(&machines))
            .await
            .map_err(|error| ProviderError::unavailable("the local provider was cut off", error))?
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

    /// How many polls the time limit of a stop has.
    fn limit_polls(&self) -> u32 {
        let polls = self.0.config.stop_timeout.as_millis() / POLL_EVERY.as_millis();
        u32::try_from(polls).unwrap_or(u32::MAX)
    }

    /// Kills the machine's process and everything that carries its mark, until none is left.
    async fn kill(&self, worker: &WorkerId) -> Result<(), ProviderError> {
        for _ in 0..KILL_POLLS_MAX {
            let worker = worker.clone();
            if self.run(move |machines| machines.kill_once(&worker)).await? == 0 {
                return Ok(());
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
        let reason = format!("processes of worker {worker} survive SIGKILL");
        Err(ProviderError::Unavailable { reason, source: None })
    }

    /// Arranges that the machine is killed at the limit, unless it has ended by then.
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
            this.0.limit_is_over(&worker);
        });
    }
}

#[async_trait]
impl Provider for LocalProvider {
    fn kind(&self) -> ProviderKind {
        ProviderKind::Local
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { volumes: true, cordon: false, required_config: &[] }
    }

    fn volume_name(&self, _scope: &Scope, worker_id: &WorkerId) -> String {
        worker_id.to_string()
    }

    async fn ensure_volume(&self, spec: &VolumeSpec) -> Result<VolumeRef, ProviderError> {
        let (worker, app_name) = (spec.worker_id.clone(), spec.scope.app_name.clone());
        if spec.name != worker.as_str() {
            return Err(ProviderError::Rejected {
                reason: "a local volume is named as its worker".to_owned(),
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

    async fn look(&self, machine: &MachineRef) -> Result<MachineState, ProviderError> {
        let worker = worker_of("machine", &machine.machine_id)?;
        self.run(move |machines| machines.state(&worker)).await
    }

    async fn list_volumes(&self, scope: &Scope) -> Result<Inventory<Volume>, ProviderError> {
        let app_name = scope.app_name.clone();
        let ours = self.run(move |machines| machines.list_volumes(&app_name)).await?;
        Ok(Inventory { ours, foreign: 0 })
    }

    async fn cordon(&self, machine: &MachineRef) -> Result<(), ProviderError> {
        self.look(machine).await.map(drop)
    }

    async fn stop(&self, machine: &MachineRef) -> Result<StopOutcome, ProviderError> {
        let worker = worker_of("machine", &machine.machine_id)?;
        let told = worker.clone();
        match self.run(move |machines| machines.tell_to_stop(&told)).await? {
            Told::Ended => return Ok(StopOutcome::Stopped),
            Told::Newly => self.kill_at_limit(worker.clone()),
            Told::Before => {}
        }
        let ended = self.ended_within(&worker, STOP_POLLS_MAX).await?;
        Ok(if ended { StopOutcome::Stopped } else { StopOutcome::Stopping })
    }

    async fn terminate(&self, machine: &MachineRef, teardown: Teardown) -> Result<(), ProviderError> {
        let worker = worker_of("machine", &machine.machine_id)?;
        let asked = worker.clone();
        let state = self.run(move |machines| machines.state(&asked)).await?;
        if state.may_run() && teardown == Teardown::WhenStopped {
            return Err(ProviderError::Precondition { reason: format!("machine {worker} still runs") });
        }
        // Also for one that has ended: what it started may have outlived it.
        self.kill(&worker).await?;
        self.run(move |machines| machines.remove_machine(&worker)).await
    }

    async fn delete_volume(&self, volume: &VolumeRef) -> Result<(), ProviderError> {
        let worker = worker_of("volume", &volume.volume_id)?;
        self.run(move |machines| machines.remove_volume(&worker)).await
    }
}

/// The worker behind the id of a machine or volume; an id that no worker can have belongs to nothing here.
fn worker_of(what: &str, id: &str) -> Result<WorkerId, ProviderError> {
    WorkerId::parse(id).ok().ok_or_else(|| ProviderError::NotFound { what: format!("{what} {id}") })
}
