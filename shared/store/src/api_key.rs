//! API keys. Only a hash of the secret part is stored.

use af_domain::ids::CompanyId;
use af_domain::time::Timestamp;

use crate::idempotency::IdempotentCall;
use crate::item::{Item, Reader, Writer};
use crate::write::{Commit, queried};
use crate::{Result, Store, keys};

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
    /// The company to which the key is bound.
    pub company: Option<CompanyId>,
}

impl ApiKey {
    /// Whether the key has not expired.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|at| at > now)
    }
}

impl Store {
    /// Returns an API key that has not expired, eventually consistent.
    pub async fn api_key(&self, id: &str, now: Timestamp) -> Result<Option<ApiKey>> {
        let item = self.get(keys::api_key(id), false).await?;
        Ok(item.as_ref().map(key_from).transpose()?.filter(|key| key.is_valid(now)))
    }

    /// Returns an API key that has not expired, strongly consistent.
    pub async fn api_key_now(&self, id: &str, now: Timestamp) -> Result<Option<ApiKey>> {
        let item = self.get(keys::api_key(id), true).await?;
        Ok(item.as_ref().map(key_from).transpose()?.filter(|key| key.is_valid(now)))
    }

    /// Stores an API key.
    pub async fn put_api_key(&self, key: &ApiKey) -> Result<()> {
        self.put(key_item(key)).await
    }

    /// Stores an API key, on condition that the call has not created one before, in one transaction.
    pub async fn put_api_key_if_first(&self, key: &ApiKey, once: &IdempotentCall) -> Result<Commit> {
        let transaction = self.transaction().record_call(Some(once), &key.id);
        self.commit_or_stale(transaction.put(key_item(key))).await
    }

    /// Revokes an API key.
    pub async fn delete_api_key(&self, id: &str) -> Result<()> {
        self.delete(&keys::api_key(id)).await
    }

    /// Returns the first `limit` API keys after `after` that have not expired, ordered by id.
    pub async fn api_keys(&self, limit: usize, after: Option<&str>, now: Timestamp) -> Result<Vec<ApiKey>> {
        let mut found = Vec::new();
        let mut start = None;
        for _ in 0..MAX_PAGES {
            let wanted = i32::try_from(limit - found.len()).unwrap_or(i32::MAX);
            let values = [(":pk", keys::API_KEYS.into()), (":after", after.unwrap_or(" ").into())];
            let query = self.query("#pk = :pk AND #sk > :after", values);
            let answer = queried(query.set_exclusive_start_key(start).limit(wanted)).await?;
            for item in answer.items() {
                found.extend(Some(key_from(item)?).filter(|key| key.is_valid(now)));
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
    Writer::at(keys::api_key(&key.id))
        .put("nm", key.name.as_str())
        .put("sc", key.scopes.clone())
        .put("sh", key.secret_hash)
        .put("at", key.created_at)
        .put_some("ex", key.expires_at)
        .put_some("co", key.company.as_ref().map(CompanyId::as_str))
        .put_some("ttl", key.expires_at.map(Timestamp::as_ttl))
        .build()
}

fn key_from(item: &Item) -> Result<ApiKey> {
    let reader = Reader::of(item);
    Ok(ApiKey {
        id: reader.text("sk")?.to_owned(),
        name: reader.text("nm")?.to_owned(),
        scopes: reader.texts("sc")?.into_iter().map(str::to_owned).collect(),
        secret_hash: reader.hash_if("sh").ok_or_else(|| reader.malformed("sh", "not a hash"))?,
        created_at: reader.time("at")?,
        expires_at: reader.time_if("ex")?,
        company: reader.id_if("co", CompanyId::parse)?,
    })
}
