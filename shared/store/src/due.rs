//! The index of what expires: items with an object in the bucket that must go, by when.

use af_domain::time::Timestamp;

use crate::expression::names_in;
use crate::item::{Item, Value};
use crate::{Store, StoreError, keys};

/// Where a page of what is due ended.
#[derive(Debug, Clone)]
pub struct DueCursor(Item);

impl Store {
    /// One page of the items of `partition` that are due by `now`, longest due first; keys only, eventually consistent.
    pub(crate) async fn due(
        &self,
        partition: &str,
        now: Timestamp,
        limit: i32,
        after: Option<DueCursor>,
    ) -> Result<(Vec<Item>, Option<DueCursor>), StoreError> {
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
        Ok((answer.items.unwrap_or_default(), answer.last_evaluated_key.map(DueCursor)))
    }
}
