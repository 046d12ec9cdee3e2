//! Working off what the index of what expires has to offer.

use std::fmt::Display;

use af_store::StoreError;
use af_store::sweep::SweepCursor;
use futures::{FutureExt, StreamExt};

use crate::AppError;

/// Items that are read from the index at once.
pub(crate) const PAGE: i32 = 100;
/// Pages of one run: a thousand items take a function well within its minute, and it comes every hour.
const MAX_PAGES: usize = 10;
/// Items that are worked off at the same time.
const MAX_AT_ONCE: usize = 8;

/// What a run has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expired {
    /// Items whose objects are gone.
    pub gone: usize,
    /// Items that could not be worked off; the next run tries again.
    pub failed: usize,
}

/// Expires each item of the pages that `page` brings by `one`, which says whether its object is gone now. One item's
/// failure does not stop the others.
pub(crate) async fn work_off<Id, Page, One>(
    what: &'static str,
    page: impl Fn(Option<SweepCursor>) -> Page,
    one: impl Fn(Id) -> One,
) -> Result<Expired, AppError>
where
    Id: Clone + Display,
    Page: Future<Output = Result<(Vec<Id>, Option<SweepCursor>), StoreError>>,
    One: Future<Output = Result<bool, AppError>>,
{
    let mut done = Expired::default();
    let mut after = None;
    for _ in 0..MAX_PAGES {
        let (due, next) = page(after).await?;
        let each = due.into_iter().map(|id| one(id.clone()).map(|end| (end, id)));
        let mut ended = futures::stream::iter(each).buffer_unordered(MAX_AT_ONCE);
        while let Some((end, id)) = ended.next().await {
            match end {
                Ok(true) => done.gone += 1,
                Ok(false) => {}
                Err(error) => {
                    done.failed += 1;
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(%id, error, "{what} could not be expired");
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
