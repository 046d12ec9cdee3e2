//! What a machine of the stand-in runs: nothing, or a real process of this computer.

use std::collections::{BTreeMap, HashMap};

use af_domain::ids::WorkerId;
use af_providers::{
    LocalProvider, MachineRef, Provider, ProviderError, Scope, SpawnEnv, SpawnSpec, Teardown, VolumeRef,
    VolumeSpec,
};
use async_trait::async_trait;

/// Runs machines. They are known by their names, which are workers' ids.
#[async_trait]
pub trait Runner: Send + Sync {
    /// Starts a machine with its volume, which it looks for at `volume_path`.
    ///
    /// # Errors
    /// When it cannot be started.
    async fn start(
        &self,
        name: &str,
        image: &str,
        env: BTreeMap<String, String>,
        volume_path: &str,
    ) -> Result<(), ProviderError>;

    /// Tells a machine to end and does not wait for it.
    async fn stop(&self, name: &str);

    /// Ends a machine at once; its volume stays.
    ///
    /// # Errors
    /// When it survives.
    async fn kill(&self, name: &str) -> Result<(), ProviderError>;

    /// Removes what is left of a machine: its volume.
    ///
    /// # Errors
    /// When it cannot be removed.
    async fn delete_volume(&self, name: &str) -> Result<(), ProviderError>;

    /// Whether each machine runs.
    ///
    /// # Errors
    /// When that cannot be told.
    async fn running(&self) -> Result<HashMap<String, bool>, ProviderError>;
}

fn scope() -> Scope {
    Scope { app_name: "fly".to_owned(), deployment_id: String::new(), volume_name: String::new() }
}

fn machine(name: &str) -> MachineRef {
    MachineRef { app_name: "fly".to_owned(), machine_id: name.to_owned(), region: String::new() }
}

fn volume(name: &str) -> VolumeRef {
    VolumeRef { app_name: "fly".to_owned(), volume_id: name.to_owned(), name: name.to_owned() }
}

fn absent_is_fine(answer: Result<(), ProviderError>) -> Result<(), ProviderError> {
    match answer {
        Err(error) if error.is_not_found() => Ok(()),
        answer => answer,
    }
}

/// Processes of this computer, as the `local` provider runs them.
#[async_trait]
impl Runner for LocalProvider {
    async fn start(
        &self,
        name: &str,
        image: &str,
        env: BTreeMap<String, String>,
        volume_path: &str,
    ) -> Result<(), ProviderError> {
        let worker_id = WorkerId::parse(name)
            .map_err(|_| ProviderError::Rejected { reason: format!("{name} is no worker's id") })?;
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
            volume: Some(self.ensure_volume(&spec).await?),
            volume_path: volume_path.to_owned(),
        };
        self.spawn(&spec).await.map(drop)
    }

    async fn stop(&self, name: &str) {
        let (this, machine) = (self.clone(), machine(name));
        tokio::spawn(async move {
            if let Err(error) = Provider::stop(&this, &machine).await
                && !error.is_not_found()
            {
                tracing::warn!(machine = machine.machine_id, %error, "a machine could not be told to stop");
            }
        });
    }

    async fn kill(&self, name: &str) -> Result<(), ProviderError> {
        absent_is_fine(self.terminate(&machine(name), Teardown::Force).await)
    }

    async fn delete_volume(&self, name: &str) -> Result<(), ProviderError> {
        absent_is_fine(Provider::delete_volume(self, &volume(name)).await)
    }

    async fn running(&self) -> Result<HashMap<String, bool>, ProviderError> {
        let listed = self.list(&scope()).await?.ours;
        Ok(listed.into_iter().map(|m| (m.worker_id.to_string(), m.state.may_run())).collect())
    }
}
