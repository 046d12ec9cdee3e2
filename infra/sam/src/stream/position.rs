//! The position of a mapping in its stream.

use std::sync::Arc;

use serde_json::Value;

use super::checkpoint::CheckpointDir;
use super::sequence_number;
use super::trim::Trims;

/// The position of a mapping: all records up to `passed` were delivered, given up or filtered out.
pub(super) struct Position {
    pub(super) mapping: String,
    pub(super) table: String,
    pub(super) passed: Option<String>,
    /// `None` stores no checkpoint.
    pub(super) checkpoints: Option<Arc<CheckpointDir>>,
    pub(super) trims: Arc<Trims>,
}

impl Position {
    /// Moves behind `last`, the last of `records` finished records.
    pub(super) fn pass(&mut self, last: Option<&Value>, records: usize) {
        if let Some(sequence) = last.and_then(sequence_number) {
            self.pass_through(sequence.to_owned(), records);
        }
    }

    pub(super) fn pass_through(&mut self, sequence: String, records: usize) {
        if let Some(checkpoints) = &self.checkpoints
            && let Err(error) = checkpoints.save(&self.mapping, &sequence)
        {
            // Delivery continues. After a restart these records would be delivered again, which every function must
            // accept.
            tracing::warn!(mapping = self.mapping, %error, "the checkpoint was not saved");
        }
        self.trims.passed(&self.table, &self.mapping, &sequence, records);
        self.passed = Some(sequence);
    }
}
