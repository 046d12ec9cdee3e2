//! Batch reads of items by key.

use std::collections::HashSet;

use aws_sdk_dynamodb::types::KeysAndAttributes;

use crate::item::Item;
use crate::keys::Key;
use crate::{Result, Store, StoreError};

/// The maximum number of keys of one BatchGetItem.
const MAX_BATCH_GET_KEYS: usize = 100;
/// How often a batch read is sent when its response is incomplete. DynamoDB omits keys when it throttles.
const MAX_BATCH_GET_TRIES: usize = 5;
const OPERATION: &str = "BatchGetItem";

impl Store {
    /// Returns those of the items at these keys that exist, in no particular order.
    pub(crate) async fn batch_get(
        &self,
        keys: impl Iterator<Item = Key>,
        consistent: bool,
    ) -> Result<Vec<Item>> {
        // DynamoDB refuses a batch that names an item twice. Two rows may name the same conversation.
        let mut seen = HashSet::new();
        let wanted: Vec<_> = keys.filter(|key| seen.insert(key.clone())).collect();
        let mut found = Vec::with_capacity(wanted.len());
        for batch in wanted.chunks(MAX_BATCH_GET_KEYS) {
            self.one_batch(batch.iter().map(Key::attributes).collect(), consistent, &mut found).await?;
        }
        Ok(found)
    }

    async fn one_batch(&self, mut wanted: Vec<Item>, consistent: bool, found: &mut Vec<Item>) -> Result<()> {
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
                return Ok(());
            }
        }
        Err(StoreError::Throttled(OPERATION))
    }
}
