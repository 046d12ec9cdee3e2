//! The expiry index: items whose object in the bucket must be deleted, ordered by expiry.

use af_domain::time::Timestamp;

use crate::item::{Item, Reader};
use crate::write::queried;
use crate::{Page, Result, Store, keys};

/// The position after a page of expired items.
#[derive(Debug, Clone)]
pub struct SweepCursor(Item);

impl Store {
    /// Returns one page of the items of `partition` that have expired by `now`, the earliest expiry first, as
    /// `id` reads them from their keys. The read is eventually consistent.
    pub(crate) async fn expired_page<Id>(
        &self,
        partition: &str,
        now: Timestamp,
        limit: i32,
        after: Option<SweepCursor>,
        id: fn(&Reader<'_>) -> Result<Id>,
    ) -> Result<Page<Id, SweepCursor>> {
        let values = [(":xp", partition.into()), (":now", now.into())];
        let query = self.query("#xp = :xp AND #xk <= :now", values).index_name(keys::EXPIRY_INDEX);
        let answer = queried(query.limit(limit).set_exclusive_start_key(after.map(|c| c.0))).await?;
        let items = answer.items().iter().map(|item| id(&Reader::of(item))).collect::<Result<_, _>>()?;
        Ok(Page { items, next: answer.last_evaluated_key.map(SweepCursor) })
    }
}
