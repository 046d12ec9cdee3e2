//! What an effect is, and how a list of effects runs.

use af_app::queue::counters::StreamRecord;
use af_app::{App, AppError};
use af_aws::objects::Objects;
use async_trait::async_trait;
use futures::future::join_all;

/// What every effect may use.
pub struct Context {
    /// The use cases.
    pub app: App,
    /// The bucket.
    pub objects: Objects,
}

/// How many objects an effect removed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Removed {
    /// Objects that are removed.
    pub gone: usize,
    /// Objects that could not be removed; the next run tries them again.
    pub failed: usize,
}

/// Work that follows a commit, or that time makes due.
#[async_trait]
pub trait Effect: Send + Sync {
    /// The effect's name in the log.
    fn name(&self) -> &'static str;

    /// Does the work for a batch of the table's stream; the batch is empty when the schedule calls. It must be safe to
    /// run twice, because a failed batch comes again.
    async fn run(&self, context: &Context, records: &[StreamRecord]) -> Result<Removed, AppError>;
}

/// Runs all `effects` at the same time. A failed effect does not stop the others.
///
/// # Errors
/// The first failure, after all effects have ended; the others are logged here.
pub async fn run_all(
    effects: &[&dyn Effect],
    context: &Context,
    records: &[StreamRecord],
) -> Result<Removed, AppError> {
    let results = join_all(effects.iter().map(|effect| effect.run(context, records))).await;
    let mut total = Removed::default();
    let mut failure = None;
    for (effect, result) in effects.iter().zip(results) {
        match result {
            Ok(removed) => {
                total.gone += removed.gone;
                total.failed += removed.failed;
            }
            Err(error) if failure.is_none() => failure = Some(error),
            Err(error) => tracing::error!(%error, effect = effect.name(), "an effect failed"),
        }
    }
    failure.map_or(Ok(total), Err)
}
