//! The sweep over the expiry index.

use std::fmt::Display;

use af_store::sweep::SweepCursor;
use af_store::{Page, StoreError};
use futures::{FutureExt, StreamExt};

use crate::Result;

/// Items per page of the index.
pub(crate) const PAGE: i32 = 100;
/// Most pages of one run. A thousand items take a function well under a minute, and it runs every hour.
const MAX_PAGES: usize = 10;
/// Items processed at the same time.
const MAX_AT_ONCE: usize = 8;

/// The result of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expired {
    /// The number of items whose objects were deleted.
    pub gone: usize,
    /// The number of items that failed. The next run tries them again.
    pub failed: usize,
}

/// Expires each item of the pages returned by `page` with `one`, which returns whether its object was
/// deleted. The failure of one item does not affect the others.
pub(crate) async fn expire_all<Id, Pages, One>(
    what: &'static str,
    page: impl Fn(Option<SweepCursor>) -> Pages,
    one: impl Fn(Id) -> One,
) -> Result<Expired>
where
    Id: Clone + Display,
    Pages: Future<Output = Result<Page<Id, SweepCursor>, StoreError>>,
    One: Future<Output = Result<bool>>,
{
    let mut done = Expired::default();
    let mut after = None;
    for _ in 0..MAX_PAGES {
        let Page { items, next } = page(after).await?;
        let each = items.into_iter().map(|id| one(id.clone()).map(|end| (end, id)));
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
