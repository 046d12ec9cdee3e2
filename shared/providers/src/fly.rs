//! `fly`: Fly Machines, by their HTTP API (<https://docs.machines.dev>).
//!
//! A worker's machine is named as the worker, which Fly takes only once in an app, and carries two metadata marks:
//! the deployment and the worker. Its volume carries no metadata; the end of its name is made of both.
//!
//! ```text
//! spawn: creating ─► started ─► (stop) stopping ─► stopped ─► (terminate) destroyed ─► (delete_volume)
//! ```
//!
//! **Invariants**
//! - What does not carry this deployment's mark is not touched: each change of a machine looks at it first.
//! - Requests keep Fly's rate limits by waiting for their turn (`fly/limits.rs`), within one process. Two processes
//!   that talk to the same app get a 429 at times, which is waited for.
//!
//! **Failures**: a creation whose answer was lost is looked for at once, and found by the next `spawn` or
//! `ensure_volume` otherwise. A volume is looked for by its name before it is created, since Fly takes a name twice.

mod api;
mod limits;
mod marks;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use af_domain::ids::WorkerId;
use async_trait::async_trait;
use reqwest::Method;
use serde::de::DeserializeOwned;

use self::api::{Api, Call};
use self::limits::{Action, Limits};
use crate::{
    Capabilities, Inventory, Machine, MachineRef, MachineState, Provider, ProviderError, ProviderKind, Scope,
    SpawnSpec, StopOutcome, Teardown, Volume, VolumeRef, VolumeSpec,
};

pub use self::api::TokenSource;
pub use af_runtime::time::{Time, TokioTime};

/// Items of a page; Fly takes it for a wish and may answer fewer.
const PAGE_LEN: u32 = 500;
/// Pages of one list: 10 000 items are ten times the largest pool.
const PAGES_MAX: usize = 20;
/// The header that names the next page.
const NEXT_CURSOR: &str = "fly-next-cursor";
/// How long `stop` waits for the machine, in seconds: an idle worker ends sooner, a busy one is seen to later.
const STOP_WAIT_SECS: u64 = 5;

/// Fly Machines. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FlyProvider {
    api: Arc<Api>,
    deployment_id: Arc<str>,
}

impl FlyProvider {
    /// The machines of `deployment_id` at the API of `base_url` (`https://api.machines.dev/v1`). Nothing is called.
    ///
    /// # Errors
    /// `Rejected` when the URL cannot be used.
    pub fn new(
        base_url: &str,
        deployment_id: &str,
        token: Arc<dyn TokenSource>,
        time: Arc<dyn Time>,
    ) -> Result<Self, ProviderError> {
        let api = Api::new(base_url, token, Limits::new(time))?;
        Ok(Self { api: Arc::new(api), deployment_id: deployment_id.into() })
    }

    /// Every item of a list, page by page.
    async fn all<T: DeserializeOwned>(
        &self,
        action: Action,
        app: &str,
        what: &str,
        filters: &[(&'static str, &str)],
    ) -> Result<Vec<T>, ProviderError> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let path = [what];
            let mut call = Call::new(action, Method::GET, app, &path).query("limit", PAGE_LEN.to_string());
            for (name, value) in filters {
                call = call.query(name, *value);
            }
            if let Some(cursor) = &cursor {
                call = call.query("cursor", cursor);
            }
            let answer = self.api.send(&call).await?;
            items.append(&mut answer.read::<Vec<T>>()?);
            cursor = answer.headers.get(NEXT_CURSOR).and_then(|v| v.to_str().ok()).map(str::to_owned);
            if cursor.as_deref().is_none_or(str::is_empty) {
                return Ok(items);
            }
        }
        let reason = format!("app {app} has more than {PAGES_MAX} pages of {what}");
        Err(ProviderError::Unavailable { reason, source: None })
    }

    fn machine(&self, app: &str, shown: &wire::Machine) -> Option<Machine> {
        let worker_id = shown.worker(&self.deployment_id)?;
        let machine = MachineRef {
            app_name: app.to_owned(),
            machine_id: shown.id.clone(),
            region: shown.region.clone(),
        };
        Some(Machine { machine, worker_id, state: shown.state(), image: shown.image() })
    }

    /// The machine of `worker`, in whatever state.
    async fn machine_of(&self, app: &str, worker: &WorkerId) -> Result<Option<Machine>, ProviderError> {
        let filters = [("metadata.agent_factory_worker", worker.as_str())];
        let shown: Vec<wire::Machine> = self.all(Action::ListMachines, app, "machines", &filters).await?;
        let ours = shown.iter().filter_map(|m| self.machine(app, m));
        Ok(ours.into_iter().find(|m| &m.worker_id == worker && m.state != MachineState::Gone))
    }

    /// Looks at a machine, and refuses one that is not ours. One that Fly is removing is no longer there.
    async fn own(&self, machine: &MachineRef) -> Result<Machine, ProviderError> {
        let path = ["machines", &machine.machine_id];
        let call = Call::new(Action::GetMachine, Method::GET, &machine.app_name, &path);
        let shown: wire::Machine = self.api.send(&call).await?.read()?;
        match self.machine(&machine.app_name, &shown) {
            Some(found) if found.state == MachineState::Gone => {
                Err(ProviderError::NotFound { what: format!("machine {}", machine.machine_id) })
            }
            Some(found) => Ok(found),
            None => Err(ProviderError::Rejected {
                reason: format!("machine {} does not carry this deployment's mark", machine.machine_id),
            }),
        }
    }

    async fn volumes(&self, app: &str) -> Result<Vec<wire::Volume>, ProviderError> {
        let mut volumes: Vec<wire::Volume> = self.all(Action::ListVolumes, app, "volumes", &[]).await?;
        volumes.retain(|v| !v.is_gone());
        Ok(volumes)
    }

    async fn volume_named(&self, app: &str, name: &str) -> Result<Option<VolumeRef>, ProviderError> {
        let found = self.volumes(app).await?.into_iter().find(|v| v.name == name);
        Ok(found.map(|v| volume_ref(app, v)))
    }

    async fn create_volume(&self, spec: &VolumeSpec) -> Result<VolumeRef, ProviderError> {
        let app = &spec.scope.app_name;
        let body = wire::CreateVolume { name: &spec.name, region: &spec.region, size_gb: spec.size_gb };
        let call = Call::new(Action::CreateVolume, Method::POST, app, &["volumes"]).json(&body)?;
        let created: wire::Volume = self.api.send(&call).await?.read()?;
        Ok(volume_ref(app, created))
    }

    async fn create_machine(&self, spec: &SpawnSpec) -> Result<Machine, ProviderError> {
        let app = &spec.scope.app_name;
        let body = wire::CreateMachine::of(spec);
        let call = Call::new(Action::CreateMachine, Method::POST, app, &["machines"]).json(&body)?;
        let created: wire::Machine = self.api.send(&call).await?.read()?;
        self.machine(app, &created).ok_or_else(|| ProviderError::Rejected {
            reason: format!("machine {} was created without the marks it was asked for with", created.id),
        })
    }
}

fn volume_ref(app: &str, volume: wire::Volume) -> VolumeRef {
    VolumeRef { app_name: app.to_owned(), volume_id: volume.id, name: volume.name }
}

#[async_trait]
impl Provider for FlyProvider {
    fn kind(&self) -> ProviderKind {
        ProviderKind::Fly
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { volumes: true, cordon: true, required_config: &["appName", "image", "region"] }
    }

    async fn ready(&self) -> Result<(), ProviderError> {
        self.api.token().await.map(drop)
    }

    fn volume_name(&self, scope: &Scope, worker_id: &WorkerId) -> String {
        marks::volume_name(scope, worker_id)
    }

    fn is_volume_of(&self, scope: &Scope, worker_id: &WorkerId, name: &str) -> bool {
        marks::is_volume_of(name, &scope.deployment_id, worker_id)
    }

    async fn ensure_volume(&self, spec: &VolumeSpec) -> Result<VolumeRef, ProviderError> {
        let app = &spec.scope.app_name;
        if let Some(volume) = self.volume_named(app, &spec.name).await? {
            return Ok(volume);
        }
        match self.create_volume(spec).await {
            Err(ProviderError::Unavailable { reason, source }) => {
                let found = self.volume_named(app, &spec.name).await.ok().flatten();
                found.ok_or(ProviderError::Unavailable { reason, source })
            }
            created => created,
        }
    }

    async fn spawn(&self, spec: &SpawnSpec) -> Result<Machine, ProviderError> {
        let app = &spec.scope.app_name;
        match self.create_machine(spec).await {
            // Its name is taken: by an earlier try, or by a machine that is not ours.
            Err(ProviderError::Precondition { reason }) if reason.starts_with("already_exists") => {
                let found = self.machine_of(app, &spec.worker_id).await?;
                found.ok_or(ProviderError::Rejected { reason })
            }
            Err(ProviderError::Unavailable { reason, source }) => {
                let found = self.machine_of(app, &spec.worker_id).await.ok().flatten();
                found.ok_or(ProviderError::Unavailable { reason, source })
            }
            created => created,
        }
    }

    async fn list(&self, scope: &Scope) -> Result<Inventory<Machine>, ProviderError> {
        let app = &scope.app_name;
        let filters = [("metadata.agent_factory_deployment", &*self.deployment_id)];
        let shown: Vec<wire::Machine> = self.all(Action::ListMachines, app, "machines", &filters).await?;
        Ok(Inventory { ours: shown.iter().filter_map(|m| self.machine(app, m)).collect(), foreign: 0 })
    }

    async fn look(&self, machine: &MachineRef) -> Result<MachineState, ProviderError> {
        Ok(self.own(machine).await?.state)
    }

    async fn list_volumes(&self, scope: &Scope) -> Result<Inventory<Volume>, ProviderError> {
        let app = &scope.app_name;
        let all = self.volumes(app).await?;
        let count = all.len();
        let ours = all.into_iter().filter(|v| marks::is_volume_of_deployment(&v.name, &self.deployment_id));
        let ours: Vec<_> =
            ours.map(|v| Volume { attached_to: v.attached_to(), volume: volume_ref(app, v) }).collect();
        Ok(Inventory { foreign: count - ours.len(), ours })
    }

    async fn list_all(&self, scope: &Scope) -> Result<Inventory<Machine>, ProviderError> {
        let app = &scope.app_name;
        let shown: Vec<wire::Machine> = self.all(Action::ListMachines, app, "machines", &[]).await?;
        let ours: Vec<_> = shown.iter().filter_map(|m| self.machine(app, m)).collect();
        Ok(Inventory { foreign: shown.len() - ours.len(), ours })
    }

    async fn organization(&self, scope: &Scope) -> Result<Option<String>, ProviderError> {
        let call = Call::new(Action::GetApp, Method::GET, &scope.app_name, &[]);
        let app: wire::App = self.api.send(&call).await?.read()?;
        Ok(app.organization.map(|o| o.slug).filter(|slug| !slug.is_empty()))
    }

    async fn cordon(&self, machine: &MachineRef) -> Result<(), ProviderError> {
        self.own(machine).await?;
        let path = ["machines", &machine.machine_id, "cordon"];
        let call = Call::new(Action::CordonMachine, Method::POST, &machine.app_name, &path);
        self.api.send(&call).await.map(drop)
    }

    async fn stop(&self, machine: &MachineRef) -> Result<StopOutcome, ProviderError> {
        let found = self.own(machine).await?;
        if !found.state.may_run() {
            return Ok(StopOutcome::Stopped);
        }
        let path = ["machines", &machine.machine_id, "stop"];
        let call = Call::new(Action::StopMachine, Method::POST, &machine.app_name, &path)
            .json(&wire::Stop::ORDERLY)?;
        self.api.send(&call).await?;
        let path = ["machines", &machine.machine_id, "wait"];
        let mut call = Call::new(Action::WaitForMachine, Method::GET, &machine.app_name, &path)
            .query("state", "stopped")
            .query("timeout", STOP_WAIT_SECS.to_string());
        call.patience = Duration::from_secs(STOP_WAIT_SECS);
        match self.api.send(&call).await {
            Ok(_) => Ok(StopOutcome::Stopped),
            Err(error) if error.is_not_found() => Err(error),
            // It was told, and that is what counts here: the next look says how far it is.
            Err(_) => Ok(StopOutcome::Stopping),
        }
    }

    async fn terminate(&self, machine: &MachineRef, teardown: Teardown) -> Result<(), ProviderError> {
        let found = self.own(machine).await?;
        if found.state.may_run() && teardown == Teardown::WhenStopped {
            let reason = format!("machine {} still runs", machine.machine_id);
            return Err(ProviderError::Precondition { reason });
        }
        let path = ["machines", &machine.machine_id];
        let mut call = Call::new(Action::DestroyMachine, Method::DELETE, &machine.app_name, &path);
        if teardown == Teardown::Force {
            call = call.query("force", "true");
        }
        self.api.send(&call).await.map(drop)
    }

    async fn delete_volume(&self, volume: &VolumeRef) -> Result<(), ProviderError> {
        let path = ["volumes", &volume.volume_id];
        let call = Call::new(Action::GetVolume, Method::GET, &volume.app_name, &path);
        let shown: wire::Volume = self.api.send(&call).await?.read()?;
        if shown.is_gone() {
            return Err(ProviderError::NotFound { what: format!("volume {}", volume.volume_id) });
        }
        if !marks::is_volume_of_deployment(&shown.name, &self.deployment_id) {
            let reason = format!("volume {} does not carry this deployment's mark", volume.volume_id);
            return Err(ProviderError::Rejected { reason });
        }
        let call = Call::new(Action::DestroyVolume, Method::DELETE, &volume.app_name, &path);
        self.api.send(&call).await.map(drop)
    }
}
