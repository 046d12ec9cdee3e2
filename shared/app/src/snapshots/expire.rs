//! Expiry: uploads that nobody finalized, failed ones, and what a newer snapshot has replaced for long enough.
//!
//! Row, object, index, in this order, and each step can be repeated: a run that dies in between is finished by the
//! next one, because the row stands in the index until its object is gone.

use af_aws::objects::Objects;
use af_domain::ids::SnapshotId;
use af_store::conversation::Commit;
use futures::StreamExt;

use super::object_key;
use crate::{App, AppError};

/// Snapshots that are read from the index at once.
const PAGE: i32 = 100;
/// Pages of one run: a thousand snapshots take a function well within its minute, and it comes every hour.
const PAGES_MAX: usize = 10;
/// Snapshots that are worked off at the same time.
const AT_ONCE_MAX: usize = 8;

/// What a run has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expired {
    /// Snapshots whose objects are gone.
    pub gone: usize,
    /// Snapshots that could not be worked off; the next run tries again.
    pub failed: usize,
}

/// Works off what is due.
///
/// # Errors
/// When the index cannot be read. One snapshot's failure does not stop the others.
pub async fn expire(app: &App, objects: &Objects) -> Result<Expired, AppError> {
    let now = app.now();
    let mut done = Expired::default();
    let mut after = None;
    for _ in 0..PAGES_MAX {
        let (due, next) = app.store.due_snapshots(now, PAGE, after).await?;
        let each = due.into_iter().map(|id| async move { (expire_one(app, objects, &id).await, id) });
        let mut ended = futures::stream::iter(each).buffer_unordered(AT_ONCE_MAX);
        while let Some((end, id)) = ended.next().await {
            match end {
                Ok(true) => done.gone += 1,
                Ok(false) => {}
                Err(error) => {
                    done.failed += 1;
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(snapshot = %id, error, "a snapshot could not be expired");
                }
            }
        }
        after = next;
        if after.is_none() {
            break;
        }
    }
    Ok(done)
}

/// Whether the snapshot's object is gone now; not so when the index was out of date.
async fn expire_one(app: &App, objects: &Objects, id: &SnapshotId) -> Result<bool, AppError> {
    let now = app.now();
    let Some(before) = app.store.snapshot(id).await? else { return Ok(false) };
    let after = before.expire();
    if let Commit::Stale = app.store.expire_if_unchanged(&before, &after, now).await? {
        return Ok(false);
    }
    objects.delete(&object_key(id)).await?;
    Ok(matches!(app.store.object_gone_if_over(id, now).await?, Commit::Done))
}
