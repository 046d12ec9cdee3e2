//! Statistics of the queue, without a scan.

use af_api::queue::QueueStats;
use af_domain::time::Timestamp;

use crate::pool::reconcile::last_report;
use crate::settings::policies;
use crate::{App, AppError};

/// Entries of each shard that are read to find the oldest. The ready index sorts by priority before age, so
/// the age is exact up to this number of waiting conversations per shard.
const ENTRIES_READ_FOR_OLDEST: i32 = 500;

/// Returns the statistics of the queue.
pub async fn stats(app: &App) -> Result<QueueStats, AppError> {
    let policies = policies::in_force(app).await?;
    let now = app.now();
    let shards =
        (0..policies.queue.ready_shards).map(|s| app.store.ready_page(s, now, ENTRIES_READ_FOR_OLDEST, None));
    let pages = futures::future::try_join_all(shards);
    let (counters, pages) = tokio::try_join!(app.store.counters(), pages)?;
    let report = last_report(app).await?;
    let oldest = pages.iter().flat_map(|page| &page.items).filter_map(|c| c.ready.time()).min();
    let reported = report.and_then(|report| report.oldest_waiting_since).map(Timestamp::from_millis);
    let age = |since: Timestamp| now.since(since).as_millis();
    Ok(QueueStats {
        queued_ready: counters.queued_ready,
        queued_scheduled: counters.queued_scheduled,
        processing: counters.processing,
        dead_letter: counters.dead_letter,
        oldest_ready_age_ms: oldest.map(age),
        oldest_waiting_age_ms: oldest.into_iter().chain(reported).min().map(age),
        as_of: counters.as_of.map(Timestamp::as_millis),
    })
}
