//! The outcome of one action of a plan.

use std::time::Duration;

use af_store::conversation::Commit;

/// What became of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was carried out.
    Done,
    /// Its condition did not hold any more.
    Stale,
    /// It needs another tick.
    Waiting(String),
    /// The run's time was up before its turn came.
    NotBegun,
    /// It failed; the next tick tries again.
    Failed(String),
    /// The provider did not start a worker; after several in a row there is a pause.
    NotStarted(String),
    /// The provider started none, and wants to be asked again after so much time.
    HeldBack {
        /// What it says.
        why: String,
        /// The time.
        retry_after: Duration,
    },
}

impl From<Commit> for Outcome {
    fn from(commit: Commit) -> Self {
        match commit {
            Commit::Done => Outcome::Done,
            Commit::Stale => Outcome::Stale,
        }
    }
}
