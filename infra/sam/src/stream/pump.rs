//! Runs all mappings of the template, each in its own task.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, ensure};

use super::StreamSource;
use super::checkpoint::CheckpointDir;
use super::mapping::Mapping;
use super::position::Position;
use super::task::Task;
use super::trim::Trims;
use crate::invoke::EventFunction;
use crate::tasks::Tasks;

/// The running mappings. Dropping it stops them at once, like a crash, and no record is lost.
pub struct Pump {
    tasks: Tasks,
    trims: Arc<Trims>,
}

impl Pump {
    /// Starts to deliver the present and future records of `source`, for each mapping from its checkpoint on, or from
    /// the oldest record if it has none. It must be called within a Tokio runtime.
    ///
    /// # Errors
    /// When two mappings share an id, a mapping would never deliver a record, or a checkpoint cannot be read. A start
    /// from the oldest record would hide a broken data folder.
    pub fn start(
        source: Arc<dyn StreamSource>,
        checkpoints: Option<CheckpointDir>,
        mappings: Vec<(Mapping, EventFunction)>,
    ) -> anyhow::Result<Self> {
        let checkpoints = checkpoints.map(Arc::new);
        let mut ids = BTreeSet::new();
        let mut positions = Vec::new();
        let trims = Arc::new(Trims::new(Arc::clone(&source)));
        for (mapping, _) in &mappings {
            let id = &mapping.id;
            ensure!(ids.insert(id), "two stream mappings are called `{id}`");
            ensure!(mapping.batch_size > 0, "the stream mapping `{id}` has a batch size of 0");
            let passed = checkpoints.as_ref().map(|checkpoints| checkpoints.load(id)).transpose();
            let passed = passed
                .with_context(|| format!("the checkpoint of the stream mapping `{id}` cannot be read"))?
                .flatten();
            trims.add(&mapping.table, id, passed.clone());
            let (mapping, table) = (id.clone(), mapping.table.clone());
            let (checkpoints, trims) = (checkpoints.clone(), Arc::clone(&trims));
            positions.push(Position { mapping, table, passed, checkpoints, trims });
        }
        let mut tasks = Tasks::new();
        for ((mapping, function), position) in mappings.into_iter().zip(positions) {
            let source = Arc::clone(&source);
            tasks.spawn(|signals| Task::new(mapping, function, source, position, signals).run());
        }
        Ok(Self { tasks, trims })
    }

    /// Resolves when every mapping has finished all records that were written before this call: delivered, given up
    /// after their retries, or filtered out. Open windows are cut short. It does not wait for records that the
    /// functions write meanwhile.
    pub async fn settled(&self) {
        self.tasks.settled().await;
    }

    /// Stops the mappings. It waits for running invocations, at most for their timeout, but not for retries and
    /// windows.
    pub async fn stop(mut self) {
        self.tasks.stop().await;
        self.trims.finish();
    }
}

#[cfg(test)]
mod tests;
