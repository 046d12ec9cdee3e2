//! The provider of the simulation: a machine is a task that runs a worker.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use af_domain::ids::WorkerId;
use af_providers::{
    Inventory, Machine, MachineRef, MachineState, Provider, ProviderError, ProviderKind, Scope, SpawnSpec,
    StopOutcome, Teardown, Volume, VolumeRef, VolumeSpec,
};
use async_trait::async_trait;
use tokio::sync::mpsc;

/// The machines of a world.
pub struct SimProvider {
    machines: Mutex<BTreeMap<WorkerId, MachineState>>,
    started: mpsc::UnboundedSender<WorkerId>,
}

impl SimProvider {
    /// A provider without machines. `started` gets the worker of each new machine.
    pub fn new(started: mpsc::UnboundedSender<WorkerId>) -> Arc<Self> {
        Arc::new(Self { machines: Mutex::default(), started })
    }

    /// Whether the machine of this worker runs.
    pub fn runs(&self, worker: &WorkerId) -> bool {
        self.machines.lock().unwrap().get(worker) == Some(&MachineState::Running)
    }

    /// Notes that the machine has ended without a call of the provider.
    pub fn ended(&self, worker: &WorkerId, state: MachineState) {
        if let Some(known) = self.machines.lock().unwrap().get_mut(worker) {
            *known = state;
        }
    }

    /// Whether the machine of the worker with this id runs.
    pub fn has(&self, worker: &str) -> bool {
        WorkerId::parse(worker).is_ok_and(|w| self.runs(&w))
    }

    /// The workers that have a machine.
    pub fn started(&self) -> Vec<String> {
        self.machines.lock().unwrap().keys().map(ToString::to_string).collect()
    }

    /// The number of machines.
    pub fn count(&self) -> usize {
        self.machines.lock().unwrap().len()
    }
}

fn machine_ref(worker: &WorkerId) -> MachineRef {
    MachineRef { app_name: "local".into(), machine_id: worker.to_string(), region: "here".into() }
}

fn not_found(machine: &MachineRef) -> ProviderError {
    ProviderError::NotFound { what: format!("machine {}", machine.machine_id) }
}

#[async_trait]
impl Provider for SimProvider {
    fn kind(&self) -> ProviderKind {
        ProviderKind::LOCAL
    }

    fn volume_name(&self, _: &Scope, _: &WorkerId) -> Option<String> {
        None
    }

    async fn ensure_volume(&self, spec: &VolumeSpec) -> Result<VolumeRef, ProviderError> {
        Err(ProviderError::Rejected {
            reason: format!("this provider has no volumes, {} asked for one", spec.worker_id),
        })
    }

    async fn spawn(&self, spec: &SpawnSpec) -> Result<Machine, ProviderError> {
        let worker_id = spec.worker_id.clone();
        let mut machines = self.machines.lock().unwrap();
        if !machines.contains_key(&worker_id) {
            machines.insert(worker_id.clone(), MachineState::Running);
            // Sending fails only after the world has ended.
            let _ = self.started.send(worker_id.clone());
        }
        let state = machines[&worker_id];
        Ok(Machine { machine: machine_ref(&worker_id), worker_id, state, image: String::new() })
    }

    async fn list(&self, _scope: &Scope) -> Result<Inventory<Machine>, ProviderError> {
        let machines = self.machines.lock().unwrap();
        let machine = |(worker_id, state): (&WorkerId, &MachineState)| Machine {
            machine: machine_ref(worker_id),
            worker_id: worker_id.clone(),
            state: *state,
            image: String::new(),
        };
        Ok(Inventory { ours: machines.iter().map(machine).collect(), foreign: 0 })
    }

    async fn inspect(&self, machine: &MachineRef) -> Result<MachineState, ProviderError> {
        let worker = WorkerId::parse(machine.machine_id.clone()).unwrap();
        self.machines.lock().unwrap().get(&worker).copied().ok_or_else(|| not_found(machine))
    }

    async fn list_volumes(&self, _scope: &Scope) -> Result<Inventory<Volume>, ProviderError> {
        Ok(Inventory { ours: Vec::new(), foreign: 0 })
    }

    async fn cordon(&self, _machine: &MachineRef) -> Result<(), ProviderError> {
        Ok(())
    }

    async fn stop(&self, machine: &MachineRef) -> Result<StopOutcome, ProviderError> {
        let worker = WorkerId::parse(machine.machine_id.clone()).unwrap();
        let mut machines = self.machines.lock().unwrap();
        *machines.get_mut(&worker).ok_or_else(|| not_found(machine))? = MachineState::Stopped;
        Ok(StopOutcome::Stopped)
    }

    async fn terminate(&self, machine: &MachineRef, _teardown: Teardown) -> Result<(), ProviderError> {
        let worker = WorkerId::parse(machine.machine_id.clone()).unwrap();
        self.machines.lock().unwrap().remove(&worker).map(drop).ok_or_else(|| not_found(machine))
    }

    async fn delete_volume(&self, volume: &VolumeRef) -> Result<(), ProviderError> {
        Err(ProviderError::NotFound { what: format!("volume {}", volume.name) })
    }
}
