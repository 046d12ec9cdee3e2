//! The provider over the Machines API.
//!
//! A worker's machine has the worker's id as its name, and Fly accepts a name only once in an app. The machine carries
//! two metadata marks: the deployment and the worker. A volume carries no metadata; the end of its name is a hash of
//! both.
//!
//! ```text
//! spawn: creating ─► started ─► (stop) stopping ─► stopped ─► (terminate) destroyed ─► (delete_volume)
//! ```
//!
//! **Invariants**
//! - A machine or volume without this deployment's mark is never changed: each change reads the machine first.
//! - Requests of one process keep Fly's rate limits, because each waits for its turn (`limits.rs`). Two processes that
//!   use the same app sometimes get a 429, and wait as long as it says.
//!
//! **Failures**: after a creation without an answer, the provider searches for the new machine or volume at once.
//! Otherwise the next `spawn` or `ensure_volume` finds it. The provider searches for a volume by name before it creates
//! one, because Fly accepts the same name twice.

use std::sync::Arc;
use std::time::Duration;

use af_domain::ids::WorkerId;
use af_runtime::time::Time;
use async_trait::async_trait;
use reqwest::Method;
use serde::de::DeserializeOwned;

use super::api::{Api, Call};
use super::limits::{Action, Limits};
use super::{marks, wire};
use crate::config::PoolSettings;
use crate::error::ProviderError;
use crate::machine::{
    Inventory, Machine, MachineRef, MachineState, Scope, SpawnSpec, Volume, VolumeRef, VolumeSpec,
};
use crate::ports::TokenSource;
use crate::provider::{Provider, ProviderKind, StopOutcome, Teardown};
use crate::readiness::ProviderReadiness;

/// Items that a page is asked for. Fly may answer fewer.
const PAGE_LEN: u32 = 500;
/// The most pages of one list: 10 000 items are ten times the largest pool.
const MAX_PAGES: usize = 20;
/// The header that names the next page.
const NEXT_CURSOR: &str = "fly-next-cursor";
/// How long `stop` waits for the machine, in seconds. An idle worker ends sooner; a busy one is checked again later.
const STOP_WAIT_SECS: u64 = 5;

/// Fly Machines. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FlyProvider {
    api: Arc<Api>,
    deployment_id: Arc<str>,
}

impl FlyProvider {
    /// The machines of `deployment_id` at the API of `base_url` (`https://api.machines.dev/v1`). Sends no request.
    /// `Rejected` when the URL cannot be used.
    pub fn new(
        base_url: &str,
        deployment_id: &str,
        tokens: Arc<dyn TokenSource>,
        time: Arc<dyn Time>,
    ) -> Result<Self, ProviderError> {
        let api = Api::new(base_url, tokens, Limits::new(time))?;
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
        for _ in 0..MAX_PAGES {
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
        let reason = format!("app {app} has more than {MAX_PAGES} pages of {what}");
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

    /// The machine of `worker`, in any state but gone.
    async fn machine_of(&self, app: &str, worker: &WorkerId) -> Result<Option<Machine>, ProviderError> {
        let filters = [("metadata.agent_factory_worker", worker.as_str())];
        let shown: Vec<wire::Machine> = self.all(Action::ListMachines, app, "machines", &filters).await?;
        let ours = shown.iter().filter_map(|m| self.machine(app, m));
        Ok(ours.into_iter().find(|m| &m.worker_id == worker && m.state != MachineState::Gone))
    }

    /// Reads a machine and refuses one without our mark. A machine that Fly is removing does not exist any more.
    async fn read_own(&self, machine: &MachineRef) -> Result<Machine, ProviderError> {
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

    /// The organization that the app belongs to, where the token may read it.
    async fn organization(&self, app: &str) -> Result<Option<String>, ProviderError> {
        let call = Call::new(Action::GetApp, Method::GET, app, &[]);
        let app: wire::App = self.api.send(&call).await?.read()?;
        Ok(app.organization.map(|o| o.slug).filter(|slug| !slug.is_empty()))
    }

    /// The warning for an app that belongs to another organization than the operator expects.
    async fn organization_warning(&self, scope: &Scope, settings: &PoolSettings) -> Option<String> {
        let (app, expected) = (&scope.app_name, settings.organization.as_deref()?);
        match self.organization(app).await {
            Ok(Some(actual)) if actual != expected => Some(format!(
                "app {app} belongs to organization {actual}, and providerConfig.organizationSlug is {expected}"
            )),
            Ok(_) => None,
            // A token may read the machines of an app and not the app itself.
            Err(error) => Some(format!("the organization of app {app} cannot be read: {error}")),
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

fn no_such_app(scope: &Scope, settings: &PoolSettings) -> String {
    let organization =
        settings.organization.as_ref().map(|o| format!(" in organization {o}")).unwrap_or_default();
    format!(
        "App {} does not exist. Create it{organization}, or correct providerConfig.appName.",
        scope.app_name
    )
}

fn volume_ref(app: &str, volume: wire::Volume) -> VolumeRef {
    VolumeRef { app_name: app.to_owned(), volume_id: volume.id, name: volume.name }
}

#[async_trait]
impl Provider for FlyProvider {
    fn kind(&self) -> ProviderKind {
        ProviderKind::FLY
    }

    async fn check_credentials(&self) -> Result<(), ProviderError> {
        self.api.token().await.map(drop)
    }

    fn volume_name(&self, scope: &Scope, worker_id: &WorkerId) -> Option<String> {
        Some(marks::volume_name(scope, worker_id))
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
            // An earlier attempt or a machine without our mark has the name.
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

    async fn inspect(&self, machine: &MachineRef) -> Result<MachineState, ProviderError> {
        Ok(self.read_own(machine).await?.state)
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

    async fn readiness(&self, scope: &Scope, settings: &PoolSettings) -> ProviderReadiness {
        let survey = match self.survey(scope).await {
            Ok(survey) => survey,
            Err(error) if error.is_not_found() => {
                return ProviderReadiness::missing(no_such_app(scope, settings));
            }
            Err(error) => return ProviderReadiness::missing(error.to_string()),
        };
        let mut readiness = ProviderReadiness::of(&survey);
        readiness.warnings.extend(self.organization_warning(scope, settings).await);
        readiness
    }

    async fn cordon(&self, machine: &MachineRef) -> Result<(), ProviderError> {
        self.read_own(machine).await?;
        let path = ["machines", &machine.machine_id, "cordon"];
        let call = Call::new(Action::CordonMachine, Method::POST, &machine.app_name, &path);
        self.api.send(&call).await.map(drop)
    }

    async fn stop(&self, machine: &MachineRef) -> Result<StopOutcome, ProviderError> {
        let found = self.read_own(machine).await?;
        if !found.state.may_run() {
            return Ok(StopOutcome::Stopped);
        }
        let path = ["machines", &machine.machine_id, "stop"];
        let call = Call::new(Action::StopMachine, Method::POST, &machine.app_name, &path)
            .json(&wire::Stop::GRACEFUL)?;
        self.api.send(&call).await?;
        let path = ["machines", &machine.machine_id, "wait"];
        let mut call = Call::new(Action::WaitForMachine, Method::GET, &machine.app_name, &path)
            .query("state", "stopped")
            .query("timeout", STOP_WAIT_SECS.to_string());
        call.extra_time = Duration::from_secs(STOP_WAIT_SECS);
        match self.api.send(&call).await {
            Ok(_) => Ok(StopOutcome::Stopped),
            Err(error) if error.is_not_found() => Err(error),
            // The stop was accepted. The next `inspect` shows its progress.
            Err(_) => Ok(StopOutcome::Stopping),
        }
    }

    async fn terminate(&self, machine: &MachineRef, teardown: Teardown) -> Result<(), ProviderError> {
        let found = self.read_own(machine).await?;
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
