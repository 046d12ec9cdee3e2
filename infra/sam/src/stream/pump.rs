//! Runs all mappings of the template, each in its own task.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::StreamSource;
use super::checkpoint::Checkpoints;
use super::mapping::Mapping;
use super::position::Position;
use super::task::{Signals, Task};
use super::trim::Trims;

/// The running mappings. Dropping it stops them at once, like a crash, and no record is lost.
pub struct Pump {
    tasks: JoinSet<()>,
    asks: watch::Sender<u64>,
    answered: Vec<watch::Receiver<u64>>,
    stop: watch::Sender<bool>,
    trims: Arc<Trims>,
}

/// The reason why the mappings cannot run.
#[derive(Debug, thiserror::Error)]
pub enum PumpError {
    /// Two mappings would share one checkpoint.
    #[error("two stream mappings are called `{0}`")]
    Duplicate(String),
    /// The mapping would never deliver a record.
    #[error("the stream mapping `{0}` has a batch size of 0")]
    EmptyBatches(String),
    /// A checkpoint cannot be read. A start from the oldest record would hide a broken data folder.
    #[error("the checkpoint of the stream mapping `{mapping}` cannot be read")]
    Checkpoint {
        /// The mapping's id.
        mapping: String,
        /// The error of the operating system.
        #[source]
        source: std::io::Error,
    },
}

impl Pump {
    /// Starts to deliver the present and future records of `source`, for each mapping from its checkpoint on, or from
    /// the oldest record if it has none. It must be called within a Tokio runtime.
    pub fn start(
        source: Arc<dyn StreamSource>,
        checkpoints: Arc<dyn Checkpoints>,
        mappings: Vec<Mapping>,
    ) -> Result<Self, PumpError> {
        check(&mappings)?;
        let passed = mappings.iter().map(|mapping| {
            checkpoints
                .load(&mapping.id)
                .map_err(|source| PumpError::Checkpoint { mapping: mapping.id.clone(), source })
        });
        let passed: Vec<Option<String>> = passed.collect::<Result<_, _>>()?;
        let known = mappings.iter().zip(&passed);
        let known =
            known.map(|(mapping, passed)| (mapping.table.as_str(), mapping.id.as_str(), passed.clone()));
        let trims = Arc::new(Trims::new(Arc::clone(&source), known));

        let (asks, _) = watch::channel(0);
        let (stop, _) = watch::channel(false);
        let mut pump = Self { tasks: JoinSet::new(), asks, answered: Vec::new(), stop, trims };
        for (mapping, passed) in mappings.into_iter().zip(passed) {
            let (answered, answers) = watch::channel(0);
            pump.answered.push(answers);
            let signals = Signals { asks: pump.asks.subscribe(), answered, stop: pump.stop.subscribe() };
            let position = Position {
                mapping: mapping.id.clone(),
                table: mapping.table.clone(),
                passed,
                checkpoints: Arc::clone(&checkpoints),
                trims: Arc::clone(&pump.trims),
            };
            pump.tasks.spawn(Task::new(mapping, Arc::clone(&source), position, signals).run());
        }
        Ok(pump)
    }

    /// Resolves when every mapping has finished all records that were written before this call: delivered, given up
    /// after their retries, or filtered out. Open windows are cut short. It does not wait for records that the
    /// functions write meanwhile.
    pub async fn settled(&self) {
        let mut ask = 0;
        self.asks.send_modify(|asks| {
            *asks += 1;
            ask = *asks;
        });
        for answered in &self.answered {
            // An error means that the task of the mapping has ended and delivers no more.
            let _ = answered.clone().wait_for(|answered| *answered >= ask).await;
        }
    }

    /// Stops the mappings. It waits for running invocations, at most for their timeout, but not for retries and
    /// windows.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a stream mapping ended unexpectedly");
            }
        }
        self.trims.finish();
    }
}

fn check(mappings: &[Mapping]) -> Result<(), PumpError> {
    let mut ids = BTreeSet::new();
    for mapping in mappings {
        if !ids.insert(&mapping.id) {
            return Err(PumpError::Duplicate(mapping.id.clone()));
        }
        if mapping.batch_size == 0 {
            return Err(PumpError::EmptyBatches(mapping.id.clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
