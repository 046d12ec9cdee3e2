//! The embedded Secrets Manager: the six operations that this project calls, with state in memory or in a file.
//!
//! A secret is text and is identified by its name, not by its ARN. A request with an unknown parameter is refused, so
//! that a new use of the service is noticed at once. Only values have a date, and a secret that is scheduled for deletion
//! is never deleted, because no code of this project depends on either.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use af_domain::time::Timestamp;
use af_runtime::clock::{SharedClock, SystemClock};
use anyhow::Context;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use super::wire::Reply;
use super::{ACCOUNT, REGION};

/// The stage of the current version.
const CURRENT: &str = "AWSCURRENT";

/// The stage of the previous version. At most one version has it.
const PREVIOUS: &str = "AWSPREVIOUS";

/// The most secrets in one BatchGetSecretValue: the limit of the service.
const MAX_BATCH: usize = 20;

/// The bytes of a hash in the suffix of an ARN. The service appends six characters, and two characters encode a byte.
const ARN_SUFFIX_BYTES: usize = 3;

/// An embedded Secrets Manager. Clones share the same secrets.
#[derive(Clone)]
pub struct Secrets {
    shared: Arc<Shared>,
    clock: SharedClock,
}

struct Shared {
    file: Option<PathBuf>,
    /// A change holds the lock until the file is written, so that the file never returns to an older state.
    state: Mutex<State>,
}

impl Secrets {
    /// Creates an empty store in memory. It is deleted with the last clone.
    pub fn memory() -> Self {
        Self::over(None, State::default())
    }

    /// Opens the secrets in the file at `path`; a missing file contains none. Each change is written to the file
    /// before it is answered. Only the owner can read the file.
    ///
    /// # Errors
    /// Returns an error if the file exists and cannot be read, or does not contain secrets.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let contents = af_runtime::atomic_file::read(path);
        let contents = contents.with_context(|| format!("cannot read {}", path.display()))?;
        let state = contents.map(|contents| serde_json::from_slice(&contents)).transpose();
        let state = state.with_context(|| format!("{} does not hold secrets", path.display()))?;
        Ok(Self::over(Some(path.to_owned()), state.unwrap_or_default()))
    }

    fn over(file: Option<PathBuf>, state: State) -> Self {
        Self { shared: Arc::new(Shared { file, state: Mutex::new(state) }), clock: Arc::new(SystemClock) }
    }

    /// Sets the clock that dates versions, in place of this machine's clock.
    pub fn with_clock(self, clock: SharedClock) -> Self {
        Self { clock, ..self }
    }

    /// Returns the name and the value of each version of each secret. It is for tests that search for secrets where they
    /// must not be.
    ///
    /// # Panics
    /// When a request is being carried out.
    pub fn values(&self) -> Vec<(String, String)> {
        let state = self.shared.state.try_lock().expect("no request is being carried out");
        let values = |(name, secret): (&String, &Secret)| {
            let versions = secret.versions.values().map(|version| version.secret_string.clone());
            versions.map(|value| (name.clone(), value)).collect::<Vec<_>>()
        };
        state.secrets.iter().flat_map(values).collect()
    }

    /// Executes one operation of the Secrets Manager API, as the service does.
    pub async fn call(&self, operation: &str, body: &Value) -> Reply {
        let mut state = self.shared.state.lock().await;
        let mut changed = state.clone();
        let body = match Request::read(operation, body)
            .and_then(|request| changed.execute(request, self.clock.now()))
        {
            Ok(body) => body,
            Err(failure) => return failure.into_reply(),
        };
        if changed != *state {
            if let Err(error) = self.keep(&changed).await {
                tracing::error!(%error, operation, "a change of secrets cannot be written to the file");
                return Reply::internal_error("the change cannot be stored");
            }
            *state = changed;
        }
        Reply { status: 200, body }
    }

    async fn keep(&self, state: &State) -> io::Result<()> {
        let Some(file) = self.shared.file.clone() else {
            return Ok(());
        };
        let contents = serde_json::to_vec_pretty(state)?;
        tokio::task::spawn_blocking(move || af_runtime::atomic_file::replace(&file, &contents)).await?
    }
}

/// An error of the service that the caller has caused.
struct Failure {
    kind: &'static str,
    message: String,
}

impl Failure {
    fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    fn not_found(what: &str) -> Self {
        Self::new("ResourceNotFoundException", format!("Secrets Manager can't find the specified {what}."))
    }

    fn scheduled_for_deletion() -> Self {
        Self::new("InvalidRequestException", "The secret is scheduled for deletion.")
    }

    fn into_reply(self) -> Reply {
        Reply { status: 400, body: json!({"__type": self.kind, "Message": self.message}) }
    }
}

/// A request, by the name of its operation.
#[derive(Deserialize)]
#[serde(rename_all_fields = "PascalCase", deny_unknown_fields)]
enum Request {
    GetSecretValue { secret_id: String, version_stage: Option<String> },
    BatchGetSecretValue { secret_id_list: Vec<String> },
    CreateSecret { name: String, client_request_token: String, secret_string: String },
    PutSecretValue { secret_id: String, client_request_token: String, secret_string: String },
    DeleteSecret { secret_id: String, force_delete_without_recovery: Option<bool> },
    RestoreSecret { secret_id: String },
}

impl Request {
    fn read(operation: &str, parameters: &Value) -> Result<Self, Failure> {
        serde_json::from_value(json!({ operation: parameters })).map_err(|error| {
            let error = error.to_string();
            if error.starts_with("unknown variant") {
                Failure::new("UnknownOperationException", format!("{operation} is not emulated"))
            } else {
                Failure::new("InvalidParameterException", error)
            }
        })
    }
}

/// All secrets by name, as stored in the file.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
struct State {
    secrets: BTreeMap<String, Secret>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Secret {
    arn: String,
    /// The versions by id, which is the `ClientRequestToken` of the request that created the version.
    versions: BTreeMap<String, Version>,
    /// Whether the secret is scheduled for deletion. Earlier files contain the date of the request, or null.
    #[serde(default, alias = "deleted_date", deserialize_with = "is_set")]
    deleted: bool,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Version {
    secret_string: String,
    version_stages: Vec<String>,
    /// Earlier files do not have it.
    #[serde(default)]
    created_ms: Option<u64>,
}

impl Version {
    /// A version that is the current one from `now` on.
    fn new(secret_string: String, now: Timestamp) -> Self {
        let version_stages = vec![CURRENT.to_owned()];
        Self { secret_string, version_stages, created_ms: Some(now.as_millis()) }
    }
}

fn is_set<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(!matches!(value, Value::Null | Value::Bool(false)))
}

impl State {
    /// Carries out one operation. A failed one changes nothing.
    fn execute(&mut self, request: Request, now: Timestamp) -> Result<Value, Failure> {
        match request {
            Request::GetSecretValue { secret_id, version_stage } => {
                self.value(&secret_id, version_stage.as_deref().unwrap_or(CURRENT))
            }
            Request::BatchGetSecretValue { secret_id_list } => self.batch_get(secret_id_list),
            Request::CreateSecret { name, client_request_token, secret_string } => {
                self.create(name, client_request_token, Version::new(secret_string, now))
            }
            Request::PutSecretValue { secret_id, client_request_token, secret_string } => {
                self.put(&secret_id, &client_request_token, Version::new(secret_string, now))
            }
            Request::DeleteSecret { secret_id, force_delete_without_recovery } => {
                self.delete(&secret_id, force_delete_without_recovery.unwrap_or_default())
            }
            Request::RestoreSecret { secret_id } => self.restore(&secret_id),
        }
    }

    fn batch_get(&self, ids: Vec<String>) -> Result<Value, Failure> {
        if ids.is_empty() || ids.len() > MAX_BATCH {
            let message = format!("SecretIdList names between 1 and {MAX_BATCH} secrets.");
            return Err(Failure::new("InvalidParameterException", message));
        }
        let mut values = Vec::new();
        let mut errors = Vec::new();
        for id in ids {
            match self.value(&id, CURRENT) {
                Ok(value) => values.push(value),
                Err(Failure { kind, message }) => {
                    errors.push(json!({"SecretId": id, "ErrorCode": kind, "Message": message}));
                }
            }
        }
        Ok(json!({"SecretValues": values, "Errors": errors}))
    }

    fn create(&mut self, name: String, id: String, version: Version) -> Result<Value, Failure> {
        if let Some(secret) = self.secrets.get(&name) {
            let kept = secret.versions.get(&id);
            let again = kept.is_some_and(|kept| kept.secret_string == version.secret_string);
            return if secret.deleted {
                Err(Failure::scheduled_for_deletion())
            } else if again {
                Ok(json!({"ARN": secret.arn, "Name": name, "VersionId": id}))
            } else {
                Err(Failure::new("ResourceExistsException", "The secret already exists."))
            };
        }
        let arn = arn(&name, &id);
        let answer = json!({"ARN": arn, "Name": name, "VersionId": id});
        self.secrets.insert(name, Secret { arn, versions: BTreeMap::from([(id, version)]), deleted: false });
        Ok(answer)
    }

    fn put(&mut self, name: &str, id: &str, version: Version) -> Result<Value, Failure> {
        let secret = self.usable(name)?;
        match secret.versions.get(id) {
            Some(kept) if kept.secret_string != version.secret_string => {
                let message = "A version with this ClientRequestToken exists and has another value.";
                return Err(Failure::new("ResourceExistsException", message));
            }
            Some(_) => {}
            None => secret.add_current(id, version),
        }
        let stages = secret.versions.get(id).map(|version| &version.version_stages);
        Ok(json!({"ARN": secret.arn, "Name": name, "VersionId": id, "VersionStages": stages}))
    }

    fn delete(&mut self, name: &str, without_recovery: bool) -> Result<Value, Failure> {
        if without_recovery {
            let secret = self.secrets.remove(name).ok_or_else(|| Failure::not_found("secret"))?;
            return Ok(json!({"ARN": secret.arn, "Name": name}));
        }
        let secret = self.usable(name)?;
        secret.deleted = true;
        Ok(json!({"ARN": secret.arn, "Name": name}))
    }

    fn restore(&mut self, name: &str) -> Result<Value, Failure> {
        let secret = self.secrets.get_mut(name).ok_or_else(|| Failure::not_found("secret"))?;
        secret.deleted = false;
        Ok(json!({"ARN": secret.arn, "Name": name}))
    }

    fn value(&self, name: &str, stage: &str) -> Result<Value, Failure> {
        let secret = self.secrets.get(name).ok_or_else(|| Failure::not_found("secret"))?;
        if secret.deleted {
            return Err(Failure::scheduled_for_deletion());
        }
        let mut versions = secret.versions.iter();
        let staged = versions.find(|(_, version)| version.version_stages.iter().any(|label| label == stage));
        let (id, version) =
            staged.ok_or_else(|| Failure::not_found(&format!("secret value for staging label: {stage}")))?;
        let mut value = json!({
            "ARN": secret.arn,
            "Name": name,
            "VersionId": id,
            "VersionStages": version.version_stages,
            "SecretString": version.secret_string,
        });
        if let Some(ms) = version.created_ms {
            // Dates are epoch seconds with a fraction.
            value["CreatedDate"] = (ms as f64 / 1_000.0).into();
        }
        Ok(value)
    }

    /// The secret, unless it does not exist or is scheduled for deletion.
    fn usable(&mut self, name: &str) -> Result<&mut Secret, Failure> {
        let secret = self.secrets.get_mut(name).ok_or_else(|| Failure::not_found("secret"))?;
        if secret.deleted { Err(Failure::scheduled_for_deletion()) } else { Ok(secret) }
    }
}

impl Secret {
    /// Adds a version and makes it the current one. The version that was current becomes the previous one.
    fn add_current(&mut self, id: &str, new: Version) {
        for version in self.versions.values_mut() {
            let was_current = version.version_stages.iter().any(|stage| stage == CURRENT);
            version.version_stages.retain(|stage| stage != CURRENT && stage != PREVIOUS);
            if was_current {
                version.version_stages.push(PREVIOUS.to_owned());
            }
        }
        self.versions.insert(id.to_owned(), new);
    }
}

/// The ARN of a secret. In the service it ends with random characters, so that a secret that replaces a deleted one
/// of the same name has another ARN. Here they are derived from the request token, which the SDK chooses at random.
fn arn(name: &str, token: &str) -> String {
    let hash = Sha256::new().chain_update(name).chain_update([0]).chain_update(token).finalize();
    let suffix = HEXLOWER.encode(&hash[..ARN_SUFFIX_BYTES]);
    format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-{suffix}")
}
