//! Workers as processes of this machine, and a function that dies at a call of their provider. The scenarios on Fly
//! cover the requests to the table.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use af_providers::{
    Inventory, LocalOptions, LocalProvider, Machine, MachineRef, MachineState, Provider, ProviderError,
    ProviderKind, Scope, SpawnSpec, StopOutcome, Teardown, Volume, VolumeRef, VolumeSpec,
};
use async_trait::async_trait;

use crate::backend::Created;
use af_tests::steps::{StepOutcome, Steps};

/// A process that does nothing and ends by itself after a minute.
const PROGRAM: (&str, &str) = ("sleep", "60");

/// The local provider; each call is a step of the function that makes it.
pub struct StepProvider {
    provider: LocalProvider,
    steps: Option<Arc<Steps>>,
    created: Arc<Mutex<Created>>,
}

pub fn provider(folder: &Path) -> LocalProvider {
    LocalProvider::new(LocalOptions {
        program: PROGRAM.0.into(),
        args: vec![PROGRAM.1.to_owned()],
        kind: af_providers::WorkerKind::Reference,
        env: Default::default(),
        data_dir: folder.to_owned(),
        stop_timeout: Duration::from_secs(10),
    })
}

impl StepProvider {
    pub fn new(provider: LocalProvider, steps: Option<Arc<Steps>>, created: Arc<Mutex<Created>>) -> Self {
        Self { provider, steps, created }
    }

    async fn step<T>(&self, changes: bool, call: impl Future<Output = T> + Send) -> T {
        let Some(steps) = &self.steps else { return call.await };
        match steps.next(changes) {
            StepOutcome::Taken => call.await,
            StepOutcome::Lost => std::future::pending().await,
            StepOutcome::Unanswered => {
                call.await;
                steps.mark_ended();
                std::future::pending().await
            }
            StepOutcome::HeldUp(gate) | StepOutcome::FailsLate(gate) => {
                gate.passed().await;
                call.await
            }
        }
    }
}

#[async_trait]
impl Provider for StepProvider {
    fn kind(&self) -> ProviderKind {
        self.provider.kind()
    }

    fn volume_name(&self, scope: &Scope, worker_id: &af_domain::ids::WorkerId) -> Option<String> {
        self.provider.volume_name(scope, worker_id)
    }

    async fn ensure_volume(&self, spec: &VolumeSpec) -> Result<VolumeRef, ProviderError> {
        self.step(true, self.provider.ensure_volume(spec)).await
    }

    async fn spawn(&self, spec: &SpawnSpec) -> Result<Machine, ProviderError> {
        let spawn = async {
            // The record comes first, because the process also starts after the caller has been dropped.
            {
                let mut created = self.created.lock().unwrap();
                created.machines.insert(spec.worker_id.to_string());
                let conversation = spec.env.get("OPENCLAW_CONVERSATION_ID").map(str::to_owned);
                created.conversations.insert(spec.worker_id.clone(), conversation);
            }
            self.provider.spawn(spec).await
        };
        self.step(true, spawn).await
    }

    async fn list(&self, scope: &Scope) -> Result<Inventory<Machine>, ProviderError> {
        self.step(false, self.provider.list(scope)).await
    }

    async fn inspect(&self, machine: &MachineRef) -> Result<MachineState, ProviderError> {
        self.step(false, self.provider.inspect(machine)).await
    }

    async fn list_volumes(&self, scope: &Scope) -> Result<Inventory<Volume>, ProviderError> {
        self.step(false, self.provider.list_volumes(scope)).await
    }

    async fn cordon(&self, machine: &MachineRef) -> Result<(), ProviderError> {
        self.step(true, self.provider.cordon(machine)).await
    }

    async fn stop(&self, machine: &MachineRef) -> Result<StopOutcome, ProviderError> {
        self.step(true, self.provider.stop(machine)).await
    }

    async fn terminate(&self, machine: &MachineRef, teardown: Teardown) -> Result<(), ProviderError> {
        self.step(true, self.provider.terminate(machine, teardown)).await
    }

    async fn delete_volume(&self, volume: &VolumeRef) -> Result<(), ProviderError> {
        self.step(true, self.provider.delete_volume(volume)).await
    }
}
