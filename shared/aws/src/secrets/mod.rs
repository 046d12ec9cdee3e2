//! Secrets: one Secrets Manager secret `<prefix>/<secretRef>` each.
//!
//! Values are cached for up to five minutes, so that a worker's poll does not pay for them every second; a caller
//! whose use of a value fails with an auth error calls [`Secrets::forget`] and asks again. A secret scheduled for
//! deletion is absent, until an import under its name restores it. Values live in [`SecretString`], which redacts
//! its `Debug`; errors carry what Secrets Manager said, never what was sent or read.

mod cache;
mod error;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use af_domain::ids::SecretRef;
use af_domain::time::Timestamp;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use secrecy::{ExposeSecret, SecretString};

use cache::Cache;
pub use error::SecretsError;

/// How many secrets one BatchGetSecretValue names: its own limit.
const MAX_BATCH: usize = 20;

/// How many calls an import may take. Without others in the way it needs three at most (put, restore, put);
/// two more allow for somebody who creates or deletes the same secret meanwhile.
const MAX_PUT_STEPS: usize = 5;

/// The version in force.
const CURRENT: &str = "AWSCURRENT";
/// The version before it, which Secrets Manager keeps.
const PREVIOUS: &str = "AWSPREVIOUS";

/// The secret has no version to read, or does not exist.
const NOT_FOUND: &str = "ResourceNotFoundException";
/// What reading, changing and deleting answer for a secret that is scheduled for deletion.
const INVALID_REQUEST: &str = "InvalidRequestException";
/// Somebody else created the secret first.
const EXISTS: &str = "ResourceExistsException";

/// The secrets of one deployment. Clones share one cache.
#[derive(Clone)]
pub struct Secrets {
    client: Client,
    prefix: String,
    cache: Arc<Mutex<Cache>>,
}

/// What an import answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutSecret {
    /// The new version's id.
    pub version: String,
    /// Whether there was no secret of that name before; one restored from deletion was there.
    pub created: bool,
}

/// Whether there is a secret; never its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretStatus {
    /// Which secret.
    pub secret_ref: SecretRef,
    /// Whether it has a value that can be read.
    pub has_active: bool,
    /// The id of that value's version.
    pub version: Option<String>,
}

/// A secret that was read.
struct Found {
    value: SecretString,
    version: Option<String>,
}

impl Secrets {
    /// Secrets under `prefix` (`agent-factory/<deployment>`), nothing cached yet.
    pub fn new(client: Client, prefix: impl Into<String>) -> Self {
        Self { client, prefix: prefix.into(), cache: Arc::default() }
    }

    /// The value of `secret`, if there is one; from the cache when it was read less than five minutes before `now`
    /// (less than 30 s when there was none).
    ///
    /// # Errors
    /// When Secrets Manager cannot answer, or the secret is not text.
    pub async fn get(
        &self,
        secret: &SecretRef,
        now: Timestamp,
    ) -> Result<Option<SecretString>, SecretsError> {
        let found = self.get_many(std::slice::from_ref(secret), now).await?;
        Ok(found.into_values().next())
    }

    /// The values of those of `secrets` that there are, as [`Secrets::get`] would answer them one by one.
    ///
    /// # Errors
    /// When Secrets Manager cannot answer for one of them, or one is not text. An absent secret is no error.
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

    /// The value of `secret` and the one before it, straight from Secrets Manager: what was signed with a key that has
    /// been rotated since is still to be verified. `None` when there is no such secret.
    ///
    /// # Errors
    /// When Secrets Manager cannot answer, or a value is not text.
    pub async fn with_previous(
        &self,
        secret: &SecretRef,
    ) -> Result<Option<(SecretString, Option<SecretString>)>, SecretsError> {
        let Some(current) = self.read(secret, CURRENT).await? else { return Ok(None) };
        let previous = self.read(secret, PREVIOUS).await?;
        Ok(Some((current.value, previous.map(|previous| previous.value))))
    }

    /// Makes the next [`Secrets::get`] ask Secrets Manager: for when a use of the value failed with an auth error.
    pub fn forget(&self, secret: &SecretRef) {
        self.cache().forget(secret);
    }

    /// Imports or rotates: a new version of the secret, which the earlier one stays behind as previous. Makes the
    /// secret when there is none, and restores it first when it is scheduled for deletion.
    ///
    /// # Errors
    /// When Secrets Manager cannot answer; then the value may or may not have been taken, and sending it again is
    /// safe.
    pub async fn put(
        &self,
        secret: &SecretRef,
        value: SecretString,
        now: Timestamp,
    ) -> Result<PutSecret, SecretsError> {
        let put = self.put_version(secret, &value).await;
        let mut cache = self.cache();
        // Whatever happened, what was cached may be out of date.
        cache.forget(secret);
        if put.is_ok() {
            let seen = cache.changes();
            cache.keep(secret.clone(), Some(value), now, seen);
        }
        put
    }

    /// Which of `secrets` there are, in their order, straight from Secrets Manager.
    ///
    /// # Errors
    /// When Secrets Manager cannot answer for one of them, or one is not text.
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

    /// Schedules the secret for deletion at the end of AWS's recovery window (30 days). Answers whether there was
    /// one: a missing or deleted secret is not an error.
    ///
    /// # Errors
    /// When Secrets Manager cannot answer.
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
        // A panic elsewhere cannot leave the cache half changed: each change is one map operation.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Each of `secrets` once, read from Secrets Manager.
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
            // Whatever the batch did not answer clearly, by a value or as missing, is asked for alone: that gives
            // the value, or the error in its own words.
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
                let found = Found { value: value.into(), version: entry.version_id };
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
        let value =
            answer.secret_string.ok_or_else(|| SecretsError::NotText { secret_ref: secret.clone() })?;
        Ok(Some(Found { value: value.into(), version: answer.version_id }))
    }

    /// Puts a version, and does first what Secrets Manager says is missing. The SDK sends each call with a token of
    /// its own that its retries repeat, so that a lost answer does not make a second version.
    async fn put_version(&self, secret: &SecretRef, value: &SecretString) -> Result<PutSecret, SecretsError> {
        let name = self.name(secret);
        let mut step = Step::Put;
        let mut restored = false;
        for _ in 0..MAX_PUT_STEPS {
            step = match step {
                Step::Put => {
                    let put =
                        self.client.put_secret_value().secret_id(&name).secret_string(value.expose_secret());
                    match put.send().await {
                        Ok(put) => {
                            return Ok(PutSecret {
                                version: put.version_id.unwrap_or_default(),
                                created: false,
                            });
                        }
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
                        Ok(made) => {
                            return Ok(PutSecret {
                                version: made.version_id.unwrap_or_default(),
                                created: true,
                            });
                        }
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
        Err(SecretsError::Contended { secret_ref: secret.clone() })
    }
}

/// What an import does next.
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
