//! Machines of the Fly emulator as processes of this computer.

use std::collections::{BTreeMap, HashMap};

use af_domain::ids::WorkerId;
use af_emulator_fly::Runner;
use af_providers::{
    LocalProvider, MachineRef, Provider, ProviderError, Scope, SpawnEnv, SpawnSpec, Teardown, VolumeRef,
    VolumeSpec,
};
use async_trait::async_trait;

/// Runs each machine as a process, as the `local` provider runs a worker.
#[derive(Clone)]
pub struct MachineProcesses(pub LocalProvider);

fn scope() -> Scope {
    Scope { app_name: "fly".to_owned(), deployment_id: String::new(), volume_name: String::new() }
}

fn machine(name: &str) -> MachineRef {
    MachineRef { app_name: "fly".to_owned(), machine_id: name.to_owned(), region: String::new() }
}

fn volume(name: &str) -> VolumeRef {
    VolumeRef { app_name: "fly".to_owned(), volume_id: name.to_owned(), name: name.to_owned() }
}

/// Treats an absent machine or volume as a success.
fn absent_is_fine(answer: Result<(), ProviderError>) -> anyhow::Result<()> {
    match answer {
        Err(error) if !error.is_not_found() => Err(error.into()),
        _ => Ok(()),
    }
}

#[async_trait]
impl Runner for MachineProcesses {
    async fn start(
        &self,
        name: &str,
        image: &str,
        env: BTreeMap<String, String>,
        volume_path: &str,
    ) -> anyhow::Result<()> {
        let worker_id = WorkerId::parse(name)
            .map_err(|_| ProviderError::Rejected { reason: format!("{name} is not the id of a worker") })?;
        let spec = VolumeSpec {
            scope: scope(),
            worker_id: worker_id.clone(),
            name: name.to_owned(),
            region: String::new(),
            size_gb: 1,
        };
        let spec = SpawnSpec {
            scope: scope(),
            worker_id,
            image: image.to_owned(),
            region: String::new(),
            guest: None,
            env: SpawnEnv::from(env),
            volume: Some(self.0.ensure_volume(&spec).await?),
            volume_path: volume_path.to_owned(),
        };
        self.0.spawn(&spec).await?;
        Ok(())
    }

    async fn stop(&self, name: &str) {
        let (provider, machine) = (self.0.clone(), machine(name));
        tokio::spawn(async move {
            if let Err(error) = provider.stop(&machine).await
                && !error.is_not_found()
            {
                tracing::warn!(machine = machine.machine_id, %error, "a machine cannot be asked to stop");
            }
        });
    }

    async fn kill(&self, name: &str) -> anyhow::Result<()> {
        absent_is_fine(self.0.terminate(&machine(name), Teardown::Force).await)
    }

    async fn delete_volume(&self, name: &str) -> anyhow::Result<()> {
        absent_is_fine(self.0.delete_volume(&volume(name)).await)
    }

    async fn running(&self) -> anyhow::Result<HashMap<String, bool>> {
        let listed = self.0.list(&scope()).await?.ours;
        Ok(listed.into_iter().map(|m| (m.worker_id.to_string(), m.state.may_run())).collect())
    }
}
