//! The outcome of one action of a plan.

use std::time::Duration;

use af_store::conversation::Commit;

/// The outcome of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The action was carried out.
    Done,
    /// Its condition no longer held.
    Stale,
    /// It needs another tick, because it waits for this.
    Waiting(String),
    /// The time of the run was up before the action could begin.
    OutOfTime,
    /// It failed. The next tick tries again.
    Failed(String),
    /// The provider did not start a worker. After several failures in a row there is a cool-down.
    SpawnFailed(String),
    /// The provider did not start a worker because of its rate limit.
    RateLimited {
        /// The provider's text.
        why: String,
        /// How long the provider asks us to wait.
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
