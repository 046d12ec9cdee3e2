//! What an effect is, and how a list of effects runs.

use af_app::files::sweep::Expired;
use af_app::queue::counters::StreamRecord;
use af_app::{App, AppError};
use af_aws::objects::Objects;
use futures::future::{BoxFuture, join_all};

/// What every effect may use.
pub struct Context {
    /// The use cases.
    pub app: App,
    /// The bucket.
    pub objects: Objects,
}

/// Work that follows a commit, or that time makes due.
pub struct Effect {
    /// The effect's name in the log.
    pub name: &'static str,
    /// Does the work for a batch of the table's stream; the batch is empty when the schedule calls. It must be safe to
    /// run twice, because a failed batch comes again.
    pub run: for<'a> fn(&'a Context, &'a [StreamRecord]) -> Running<'a>,
}

type Running<'a> = BoxFuture<'a, Result<Expired, AppError>>;

/// Runs all `effects` at the same time. A failed effect does not stop the others.
///
/// # Errors
/// The first failure, after all effects have ended; the others are logged here.
pub async fn run_all(
    effects: &[Effect],
    context: &Context,
    records: &[StreamRecord],
) -> Result<Expired, AppError> {
    let results = join_all(effects.iter().map(|effect| (effect.run)(context, records))).await;
    let mut total = Expired::default();
    let mut failure = None;
    for (effect, result) in effects.iter().zip(results) {
        match result {
            Ok(expired) => {
                total.gone += expired.gone;
                total.failed += expired.failed;
            }
            Err(error) if failure.is_none() => failure = Some(error),
            Err(error) => tracing::error!(%error, effect = effect.name, "an effect failed"),
        }
    }
    failure.map_or(Ok(total), Err)
}
