//! The end of the time of a run.

use std::time::Duration;

use tokio::time::Instant;

/// The end of the time in which a run begins new work.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Instant);

impl Deadline {
    /// A run that begins new work for `budget` from now on.
    pub fn after(budget: Duration) -> Self {
        Self(Instant::now() + budget)
    }

    pub fn is_over(&self) -> bool {
        Instant::now() >= self.0
    }
}
