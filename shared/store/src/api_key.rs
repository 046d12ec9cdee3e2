//! API keys. Only a hash of the secret part is stored.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use af_domain::time::Timestamp;

use crate::expression::names_in;
use crate::idempotency::{IdempotentCall, idempotency_item};
use crate::item::{Item, Reader, Value, Writer};
use crate::write::{Commit, as_commit};
use crate::{Store, StoreError, keys};

/// Queries for one page of keys. Expired keys are omitted from the page until DynamoDB deletes them within
/// days. Each further query fills the gaps.
const MAX_PAGES: usize = 20;

/// An API key without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The key id, which is the public part.
    pub id: String,
    /// The purpose of the key, in its creator's words.
    pub name: String,
    /// The scopes: `admin`, `app`, `read`.
    pub scopes: Vec<String>,
    /// SHA-256 of the secret part.
    pub secret_hash: [u8; 32],
    /// When the key was created.
    pub created_at: Timestamp,
    /// When the key expires.
    pub expires_at: Option<Timestamp>,
}

impl Store {
    /// Returns an API key that has not expired, eventually consistent.
    ///
    /// # Errors
    /// Returns an error if the table does not answer or the item is malformed.
    pub async fn api_key(&self, id: &str, now: Timestamp) -> Result<Option<ApiKey>, StoreError> {
        let item = self.get(keys::api_key(id), false).await?;
        let key = item.as_ref().map(key_from).transpose()?;
        Ok(key.filter(|k| k.expires_at.is_none_or(|e| e > now)))
    }

    /// Returns an API key that has not expired, strongly consistent.
    ///
    /// # Errors
    /// Returns an error if the table does not answer or the item is malformed.
    pub async fn api_key_now(&self, id: &str, now: Timestamp) -> Result<Option<ApiKey>, StoreError> {
        let item = self.get(keys::api_key(id), true).await?;
        let key = item.as_ref().map(key_from).transpose()?;
        Ok(key.filter(|k| k.expires_at.is_none_or(|e| e > now)))
    }

    /// Stores an API key.
    ///
    /// # Errors
    /// Returns an error if the table does not answer.
    pub async fn put_api_key(&self, key: &ApiKey) -> Result<(), StoreError> {
        self.put(key_item(key)).await
    }

    /// Stores an API key, on condition that the call has not created one before, in one transaction.
    ///
    /// # Errors
    /// Returns an error if the table does not answer.
    pub async fn put_api_key_if_first(
        &self,
        key: &ApiKey,
        once: &IdempotentCall,
    ) -> Result<Commit, StoreError> {
        let transaction = self.transaction().put_new_at(idempotency_item(once, &key.id), once.at);
        Ok(as_commit(&self.commit(transaction.put(key_item(key))).await?))
    }

    /// Revokes an API key.
    ///
    /// # Errors
    /// Returns an error if the table does not answer.
    pub async fn delete_api_key(&self, id: &str) -> Result<(), StoreError> {
        self.delete(&keys::api_key(id)).await
    }

    /// Returns the first `limit` API keys after `after` that have not expired, ordered by id.
    ///
    /// # Errors
    /// Returns an error if the table does not answer or an item is malformed.
    pub async fn api_keys(
        &self,
        limit: usize,
        after: Option<&str>,
        now: Timestamp,
    ) -> Result<Vec<ApiKey>, StoreError> {
        let mut found = Vec::new();
        let mut start = None;
        for _ in 0..MAX_PAGES {
            let wanted = i32::try_from(limit - found.len()).unwrap_or(i32::MAX);
            let answer = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("#pk = :pk AND #sk > :after")
                .set_expression_attribute_names(Some(names_in("#pk #sk")))
                .expression_attribute_values(":pk", Value::from(keys::API_KEYS).0)
                .expression_attribute_values(":after", Value::from(after.unwrap_or(" ")).0)
                .set_exclusive_start_key(start)
                .limit(wanted)
                .send()
                .await
                .map_err(|e| StoreError::from_sdk("Query", &e))?;
            for item in answer.items() {
                found.extend(Some(key_from(item)?).filter(|key| key.expires_at.is_none_or(|e| e > now)));
            }
            start = answer.last_evaluated_key;
            if start.is_none() || found.len() >= limit {
                break;
            }
        }
        Ok(found)
    }
}

fn key_item(key: &ApiKey) -> Item {
    let at = keys::api_key(&key.id);
    Writer::default()
        .put("pk", at.pk)
        .put("sk", at.sk)
        .put("nm", key.name.as_str())
        .put("sc", key.scopes.clone())
        .put("sh", Value(AttributeValue::B(Blob::new(key.secret_hash))))
        .put("at", key.created_at)
        .put_some("ex", key.expires_at)
        .put_some("ttl", key.expires_at.map(Timestamp::as_ttl))
        .build()
}

fn key_from(item: &Item) -> Result<ApiKey, StoreError> {
    let reader = Reader::of(item);
    let hash = item.get("sh").and_then(|v| v.as_b().ok()).and_then(|b| b.as_ref().try_into().ok());
    Ok(ApiKey {
        id: reader.text("sk")?.to_owned(),
        name: reader.text("nm")?.to_owned(),
        scopes: reader.texts("sc")?.into_iter().map(str::to_owned).collect(),
        secret_hash: hash.ok_or_else(|| reader.malformed("sh", "not a hash"))?,
        created_at: reader.time("at")?,
        expires_at: reader.time_if("ex")?,
    })
}
