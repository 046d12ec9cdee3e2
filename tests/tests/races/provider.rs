//! A provider whose machines are entries of a list.

use std::sync::{Arc, Mutex};

use af_domain::ids::WorkerId;
use af_providers::{
    Inventory, Machine, MachineRef, MachineState, Provider, ProviderError, ProviderKind, Scope, SpawnSpec,
    StopOutcome, Teardown, Volume, VolumeRef, VolumeSpec,
};
use async_trait::async_trait;

/// A provider whose machines run from their spawn on.
#[derive(Default)]
pub struct ListedProvider(Mutex<Vec<WorkerId>>);

impl ListedProvider {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The workers that have a machine.
    pub fn all(&self) -> Vec<WorkerId> {
        self.0.lock().unwrap().clone()
    }

    /// Removes the machine of this worker, as a crash does.
    pub fn crash(&self, worker: &WorkerId) {
        self.0.lock().unwrap().retain(|w| w != worker);
    }
}

fn running(worker: &WorkerId) -> Machine {
    let machine =
        MachineRef { app_name: "local".into(), machine_id: worker.to_string(), region: "here".into() };
    Machine { machine, worker_id: worker.clone(), state: MachineState::Running, image: String::new() }
}

#[async_trait]
impl Provider for ListedProvider {
    fn kind(&self) -> ProviderKind {
        ProviderKind::LOCAL
    }

    fn volume_name(&self, _: &Scope, _: &WorkerId) -> Option<String> {
        None
    }

    async fn ensure_volume(&self, _spec: &VolumeSpec) -> Result<VolumeRef, ProviderError> {
        Err(ProviderError::Rejected { reason: "this provider has no volumes".into() })
    }

    async fn spawn(&self, spec: &SpawnSpec) -> Result<Machine, ProviderError> {
        self.0.lock().unwrap().push(spec.worker_id.clone());
        Ok(running(&spec.worker_id))
    }

    async fn list(&self, _scope: &Scope) -> Result<Inventory<Machine>, ProviderError> {
        Ok(Inventory { ours: self.all().iter().map(running).collect(), foreign: 0 })
    }

    async fn inspect(&self, machine: &MachineRef) -> Result<MachineState, ProviderError> {
        let running = self.all().iter().any(|w| w.as_str() == machine.machine_id);
        let not_found = || ProviderError::NotFound { what: format!("machine {}", machine.machine_id) };
        running.then_some(MachineState::Running).ok_or_else(not_found)
    }

    async fn list_volumes(&self, _scope: &Scope) -> Result<Inventory<Volume>, ProviderError> {
        Ok(Inventory { ours: Vec::new(), foreign: 0 })
    }

    async fn cordon(&self, _machine: &MachineRef) -> Result<(), ProviderError> {
        Ok(())
    }

    async fn stop(&self, _machine: &MachineRef) -> Result<StopOutcome, ProviderError> {
        Ok(StopOutcome::Stopped)
    }

    async fn terminate(&self, machine: &MachineRef, _teardown: Teardown) -> Result<(), ProviderError> {
        self.0.lock().unwrap().retain(|worker| worker.as_str() != machine.machine_id);
        Ok(())
    }

    async fn delete_volume(&self, _volume: &VolumeRef) -> Result<(), ProviderError> {
        Ok(())
    }
}
