//! Batch reads of items by key.

use aws_sdk_dynamodb::types::KeysAndAttributes;

use crate::item::Item;
use crate::{Store, StoreError};

/// The maximum number of keys of one BatchGetItem.
pub(crate) const MAX_BATCH_GET_KEYS: usize = 100;
/// How often a batch read is sent when its response is incomplete. DynamoDB omits keys when it throttles.
const MAX_BATCH_GET_TRIES: usize = 5;

impl Store {
    pub(crate) async fn batch_get(&self, wanted: Vec<Item>) -> Result<Vec<Item>, StoreError> {
        self.batch(wanted, false).await
    }

    /// Reads a batch strongly consistent.
    pub(crate) async fn batch_get_consistent(&self, wanted: Vec<Item>) -> Result<Vec<Item>, StoreError> {
        self.batch(wanted, true).await
    }

    async fn batch(&self, mut wanted: Vec<Item>, consistent: bool) -> Result<Vec<Item>, StoreError> {
        const OPERATION: &str = "BatchGetItem";
        // DynamoDB refuses a batch that names an item twice. Two rows may name the same conversation.
        let mut seen = Vec::with_capacity(wanted.len());
        wanted.retain(|key| {
            !seen.contains(key) && {
                seen.push(key.clone());
                true
            }
        });
        let mut found = Vec::with_capacity(wanted.len());
        for _ in 0..MAX_BATCH_GET_TRIES {
            let request =
                KeysAndAttributes::builder().set_keys(Some(wanted)).consistent_read(consistent).build();
            let request = request.map_err(|e| StoreError::malformed(OPERATION, e.to_string()))?;
            let sent = self.client.batch_get_item().request_items(&self.table, request).send().await;
            let mut answer = sent.map_err(|e| StoreError::from_sdk(OPERATION, &e))?;
            let items = answer.responses.as_mut().and_then(|r| r.remove(&self.table));
            found.extend(items.unwrap_or_default());
            let rest = answer.unprocessed_keys.as_mut().and_then(|r| r.remove(&self.table));
            wanted = rest.map(|r| r.keys).unwrap_or_default();
            if wanted.is_empty() {
                return Ok(found);
            }
        }
        Err(StoreError::Throttled { operation: OPERATION })
    }
}
