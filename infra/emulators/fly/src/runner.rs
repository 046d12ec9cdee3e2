//! What a machine runs: nothing, or a process on this computer.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;

/// Runs machines. A machine is known by its name, which is the id of its worker.
#[async_trait]
pub trait Runner: Send + Sync {
    /// Starts a machine with its volume, which the machine finds at `volume_path`.
    ///
    /// # Errors
    /// When the machine cannot be started.
    async fn start(
        &self,
        name: &str,
        image: &str,
        env: BTreeMap<String, String>,
        volume_path: &str,
    ) -> anyhow::Result<()>;

    /// Asks a machine to end and does not wait for it.
    async fn stop(&self, name: &str);

    /// Ends a machine at once; its volume stays.
    ///
    /// # Errors
    /// When the machine survives.
    async fn kill(&self, name: &str) -> anyhow::Result<()>;

    /// Removes the volume that a machine left.
    ///
    /// # Errors
    /// When the volume cannot be removed.
    async fn delete_volume(&self, name: &str) -> anyhow::Result<()>;

    /// Whether each machine runs.
    ///
    /// # Errors
    /// When the machines cannot be listed.
    async fn running(&self) -> anyhow::Result<HashMap<String, bool>>;
}
