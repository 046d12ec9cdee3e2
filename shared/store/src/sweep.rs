//! The expiry index: items whose object in the bucket must be deleted, ordered by expiry.

use af_domain::time::Timestamp;

use crate::expression::names_in;
use crate::item::{Item, Value};
use crate::{Store, StoreError, keys};

/// The position after a page of expired items.
#[derive(Debug, Clone)]
pub struct SweepCursor(Item);

impl Store {
    /// Returns one page of the items of `partition` that have expired by `now`, the earliest expiry first.
    /// The items contain only keys. The read is eventually consistent.
    pub(crate) async fn expired_page(
        &self,
        partition: &str,
        now: Timestamp,
        limit: i32,
        after: Option<SweepCursor>,
    ) -> Result<(Vec<Item>, Option<SweepCursor>), StoreError> {
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(keys::EXPIRY_INDEX)
            .key_condition_expression("#xp = :xp AND #xk <= :now")
            .set_expression_attribute_names(Some(names_in("#xp #xk")))
            .expression_attribute_values(":xp", Value::from(partition).0)
            .expression_attribute_values(":now", Value::from(now).0)
            .limit(limit)
            .set_exclusive_start_key(after.map(|cursor| cursor.0))
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("Query", &e))?;
        Ok((answer.items.unwrap_or_default(), answer.last_evaluated_key.map(SweepCursor)))
    }
}
