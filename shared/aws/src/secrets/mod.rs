//! Secrets: one Secrets Manager secret `<prefix>/<secretRef>` each.
//!
//! Values are cached for up to five minutes, so that a worker's poll does not pay for them every second. A
//! caller whose use of a value fails with an authentication error calls [`Secrets::forget`] and reads again.
//! A secret scheduled for deletion counts as absent, until an import with its name restores it. Values are
//! [`SecretString`]s, which redact their `Debug`. Errors contain the message of Secrets Manager, never the
//! sent or read value.

mod cache;
mod error;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use af_domain::ids::SecretRef;
use af_domain::time::Timestamp;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use aws_sdk_secretsmanager::primitives::DateTime;
use secrecy::{ExposeSecret, SecretString};

use cache::Cache;
pub use error::SecretsError;

/// The maximum number of secrets of one BatchGetSecretValue.
const MAX_BATCH: usize = 20;

/// How many calls an import may take. Without concurrent changes it needs three at most (put, restore, put).
/// Two more allow for another caller that creates or deletes the same secret at the same time.
const MAX_PUT_STEPS: usize = 5;

/// The stage of the current version.
const CURRENT: &str = "AWSCURRENT";
/// The stage of the previous version, which Secrets Manager keeps.
const PREVIOUS: &str = "AWSPREVIOUS";

/// The secret has no version to read, or does not exist.
const NOT_FOUND: &str = "ResourceNotFoundException";
/// The error code of reads, changes and deletions of a secret that is scheduled for deletion.
const INVALID_REQUEST: &str = "InvalidRequestException";
/// Another caller created the secret first.
const EXISTS: &str = "ResourceExistsException";

/// The secrets of one deployment. Clones share one cache.
#[derive(Clone)]
pub struct Secrets {
    client: Client,
    prefix: String,
    cache: Arc<Mutex<Cache>>,
}

/// The result of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutSecret {
    /// The id of the new version.
    pub version: String,
    /// Whether the secret did not exist before. A secret restored from deletion existed.
    pub created: bool,
}

/// Whether a secret exists. It never contains the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretStatus {
    /// The secret.
    pub secret_ref: SecretRef,
    /// Whether the secret has a readable value.
    pub has_active: bool,
    /// The version id of that value.
    pub version: Option<String>,
}

/// The current and the previous value of a secret.
#[derive(Clone, Debug)]
pub struct RotatedSecret {
    /// The current value.
    pub current: SecretString,
    /// The value before, if the secret was rotated.
    pub previous: Option<SecretString>,
    /// When the current value was stored.
    pub rotated_at: Option<Timestamp>,
}

/// The value of a secret.
struct Found {
    value: SecretString,
    version: Option<String>,
    created_at: Option<Timestamp>,
}

impl Secrets {
    /// Creates a client for the secrets under `prefix` (`agent-factory/<deployment>`), with an empty cache.
    pub fn new(client: Client, prefix: impl Into<String>) -> Self {
        Self { client, prefix: prefix.into(), cache: Arc::default() }
    }

    /// Returns the value of `secret`, if it exists. The value comes from the cache if it was read less than
    /// five minutes before `now` (less than 30 s for an absent secret). Returns an error if Secrets Manager
    /// does not answer, or the secret is not text.
    pub async fn get(
        &self,
        secret: &SecretRef,
        now: Timestamp,
    ) -> Result<Option<SecretString>, SecretsError> {
        let found = self.get_many(std::slice::from_ref(secret), now).await?;
        Ok(found.into_values().next())
    }

    /// Returns the values of those of `secrets` that exist, with the same caching as [`Secrets::get`].
    ///
    /// # Errors
    /// Returns an error if Secrets Manager does not answer for one of them, or one is not text. An absent
    /// secret is not an error.
    pub async fn get_many(
        &self,
        secrets: &[SecretRef],
        now: Timestamp,
    ) -> Result<BTreeMap<SecretRef, SecretString>, SecretsError> {
        let mut values = BTreeMap::new();
        let mut unknown = Vec::new();
        let seen = {
            let cache = self.cache();
            for secret in secrets {
                match cache.get(secret, now) {
                    Some(Some(value)) => drop(values.insert(secret.clone(), value)),
                    Some(None) => {}
                    None => unknown.push(secret.clone()),
                }
            }
            cache.changes()
        };
        for (secret, found) in self.read_many(unknown).await? {
            let value = found.map(|found| found.value);
            self.cache().keep(secret.clone(), value.clone(), now, seen);
            values.extend(value.map(|value| (secret, value)));
        }
        Ok(values)
    }

    /// Returns the current and the previous value of `secret`, without the cache: signatures made before a key
    /// rotation must remain valid. Returns `None` if the secret does not exist. Returns an error if Secrets
    /// Manager does not answer, or a value is not text.
    pub async fn with_previous(&self, secret: &SecretRef) -> Result<Option<RotatedSecret>, SecretsError> {
        let Some(current) = self.read(secret, CURRENT).await? else { return Ok(None) };
        let previous = self.read(secret, PREVIOUS).await?.map(|previous| previous.value);
        Ok(Some(RotatedSecret { current: current.value, previous, rotated_at: current.created_at }))
    }

    /// Removes a secret from the cache, after its value failed with an authentication error.
    pub fn forget(&self, secret: &SecretRef) {
        self.cache().forget(secret);
    }

    /// Imports or rotates a secret: creates a new version and keeps the earlier one as previous. Creates the
    /// secret if it does not exist, and restores it first if it is scheduled for deletion. After an error
    /// the value may have been stored; a repetition is safe.
    pub async fn put(
        &self,
        secret: &SecretRef,
        value: SecretString,
        now: Timestamp,
    ) -> Result<PutSecret, SecretsError> {
        let put = self.put_version(secret, &value).await;
        let mut cache = self.cache();
        // The cached value may be out of date, even if the call failed.
        cache.forget(secret);
        if put.is_ok() {
            let seen = cache.changes();
            cache.keep(secret.clone(), Some(value), now, seen);
        }
        put
    }

    /// Returns the status of each of `secrets`, in their order, without the cache. Returns an error if Secrets
    /// Manager does not answer for one of them, or one is not text.
    pub async fn status(&self, secrets: &[SecretRef]) -> Result<Vec<SecretStatus>, SecretsError> {
        let found = self.read_many(secrets.to_vec()).await?;
        let status = secrets.iter().map(|secret| {
            let found = found.get(secret).and_then(Option::as_ref);
            SecretStatus {
                secret_ref: secret.clone(),
                has_active: found.is_some(),
                version: found.and_then(|found| found.version.clone()),
            }
        });
        Ok(status.collect())
    }

    /// Schedules the secret for deletion at the end of AWS's recovery window (30 days). Returns whether it
    /// existed: a missing or deleted secret is not an error.
    pub async fn delete(&self, secret: &SecretRef) -> Result<bool, SecretsError> {
        let deleted = self.client.delete_secret().secret_id(self.name(secret)).send().await;
        self.forget(secret);
        match deleted {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.code(), Some(NOT_FOUND | INVALID_REQUEST)) => Ok(false),
            Err(error) => Err(SecretsError::of("DeleteSecret", secret, &error)),
        }
    }

    fn name(&self, secret: &SecretRef) -> String {
        format!("{}/{secret}", self.prefix)
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        // A panic in another thread cannot leave the cache inconsistent, because each change is one map
        // operation.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads each of `secrets` once from Secrets Manager.
    async fn read_many(
        &self,
        mut secrets: Vec<SecretRef>,
    ) -> Result<BTreeMap<SecretRef, Option<Found>>, SecretsError> {
        secrets.sort_unstable();
        secrets.dedup();
        let mut read = BTreeMap::new();
        for batch in secrets.chunks(MAX_BATCH) {
            if batch.len() > 1 {
                self.read_batch(batch, &mut read).await?;
            }
            // A secret for which the batch returned neither a value nor "missing" is read alone, to get its
            // value or its own error.
            for secret in batch {
                if !read.contains_key(secret) {
                    read.insert(secret.clone(), self.read(secret, CURRENT).await?);
                }
            }
        }
        Ok(read)
    }

    async fn read_batch(
        &self,
        batch: &[SecretRef],
        read: &mut BTreeMap<SecretRef, Option<Found>>,
    ) -> Result<(), SecretsError> {
        let names: BTreeMap<String, &SecretRef> =
            batch.iter().map(|secret| (self.name(secret), secret)).collect();
        let request =
            self.client.batch_get_secret_value().set_secret_id_list(Some(names.keys().cloned().collect()));
        let answer =
            request.send().await.map_err(|error| SecretsError::of_batch("BatchGetSecretValue", &error))?;
        for entry in answer.secret_values.unwrap_or_default() {
            let secret = entry.name.as_ref().and_then(|name| names.get(name));
            if let (Some(secret), Some(value)) = (secret, entry.secret_string) {
                let created_at = entry.created_date.and_then(millis);
                let found = Found { value: value.into(), version: entry.version_id, created_at };
                read.insert((*secret).clone(), Some(found));
            }
        }
        for error in answer.errors.unwrap_or_default() {
            let secret = error.secret_id.as_ref().and_then(|name| names.get(name));
            if let (Some(secret), Some(NOT_FOUND | INVALID_REQUEST)) = (secret, error.error_code.as_deref()) {
                read.insert((*secret).clone(), None);
            }
        }
        Ok(())
    }

    async fn read(&self, secret: &SecretRef, stage: &str) -> Result<Option<Found>, SecretsError> {
        let request = self.client.get_secret_value().secret_id(self.name(secret)).version_stage(stage);
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) if matches!(error.code(), Some(NOT_FOUND | INVALID_REQUEST)) => return Ok(None),
            Err(error) => return Err(SecretsError::of("GetSecretValue", secret, &error)),
        };
        let value = answer.secret_string.ok_or_else(|| SecretsError::NotText(secret.clone()))?;
        let created_at = answer.created_date.and_then(millis);
        Ok(Some(Found { value: value.into(), version: answer.version_id, created_at }))
    }

    /// Puts a version, and first creates or restores the secret if needed. The SDK sends each call with its
    /// own token and repeats the token in its retries, so that a lost response does not create a second
    /// version.
    async fn put_version(&self, secret: &SecretRef, value: &SecretString) -> Result<PutSecret, SecretsError> {
        let name = self.name(secret);
        let stored =
            |version: Option<String>, created| PutSecret { version: version.unwrap_or_default(), created };
        let mut step = Step::Put;
        let mut restored = false;
        for _ in 0..MAX_PUT_STEPS {
            step = match step {
                Step::Put => {
                    let put =
                        self.client.put_secret_value().secret_id(&name).secret_string(value.expose_secret());
                    match put.send().await {
                        Ok(put) => return Ok(stored(put.version_id, false)),
                        Err(error) => match error.code() {
                            Some(NOT_FOUND) => Step::Create,
                            Some(INVALID_REQUEST) if !restored => Step::Restore,
                            _ => return Err(SecretsError::of("PutSecretValue", secret, &error)),
                        },
                    }
                }
                Step::Create => {
                    let create = self.client.create_secret().name(&name).secret_string(value.expose_secret());
                    match create.send().await {
                        Ok(made) => return Ok(stored(made.version_id, true)),
                        Err(error) => match error.code() {
                            Some(EXISTS) => Step::Put,
                            Some(INVALID_REQUEST) if !restored => Step::Restore,
                            _ => return Err(SecretsError::of("CreateSecret", secret, &error)),
                        },
                    }
                }
                Step::Restore => {
                    restored = true;
                    match self.client.restore_secret().secret_id(&name).send().await {
                        Ok(_) => Step::Put,
                        Err(error) if error.code() == Some(NOT_FOUND) => Step::Create,
                        Err(error) => return Err(SecretsError::of("RestoreSecret", secret, &error)),
                    }
                }
            };
        }
        Err(SecretsError::Contended(secret.clone()))
    }
}

fn millis(date: DateTime) -> Option<Timestamp> {
    let ms = date.to_millis().ok().and_then(|ms| u64::try_from(ms).ok());
    ms.map(Timestamp::from_millis)
}

/// The next call of an import.
enum Step {
    Put,
    Create,
    Restore,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
