//! Statistics of the queue, without a scan.

use af_domain::time::{Millis, Timestamp};

use crate::settings::policies;
use crate::{App, AppError};

/// Entries of each shard that are read to find the oldest. The ready index sorts by priority before age, so
/// the age is exact up to this number of waiting conversations per shard.
const ENTRIES_READ_FOR_OLDEST: i32 = 500;

/// The number of waiting, running and dead-lettered messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// Messages that may run now.
    pub queued_ready: i64,
    /// Messages that wait for a time: scheduled messages and retries.
    pub queued_scheduled: i64,
    /// Messages that run.
    pub processing: i64,
    /// Dead letters.
    pub dead_letter: i64,
    /// How long the longest-waiting conversation has waited for a worker.
    pub oldest_ready_age: Option<Millis>,
    /// When the counters were last updated. They follow the table's stream.
    pub as_of: Option<Timestamp>,
}

/// Returns the statistics of the queue.
pub async fn stats(app: &App) -> Result<Stats, AppError> {
    let policies = policies::in_force(app).await?;
    let now = app.now();
    let shards =
        (0..policies.queue.ready_shards).map(|s| app.store.ready_page(s, now, ENTRIES_READ_FOR_OLDEST, None));
    let pages = futures::future::try_join_all(shards);
    let (counters, pages) = tokio::try_join!(app.store.counters(), pages)?;
    let oldest = pages.iter().flat_map(|page| &page.items).filter_map(|c| c.ready.time()).min();
    Ok(Stats {
        queued_ready: counters.queued_ready,
        queued_scheduled: counters.queued_scheduled,
        processing: counters.processing,
        dead_letter: counters.dead_letter,
        oldest_ready_age: oldest.map(|since| now.since(since)),
        as_of: counters.as_of,
    })
}
