//! The embedded Secrets Manager: winterbaume's, in process, its state kept in a file across restarts.
//!
//! It knows neither `SecretBinary` nor the idempotency of `ClientRequestToken` at `CreateSecret`, and deletes
//! nothing at the end of a recovery window; nothing of ours asks it to.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use winterbaume_core::{MockRequest, MockService, StateViewError, StatefulService, default_account_id};
use winterbaume_secretsmanager::{SecretsManagerService, SecretsmanagerStateView};

use super::wire::Reply;

/// The service takes the region from the host name; its own must match the SDK's for ARNs to look right.
const SERVICE_URI: &str = "https://secretsmanager.local.amazonaws.com/";
const REGION: &str = super::REGION;

/// The label of the version before the present one.
const PREVIOUS: &str = "AWSPREVIOUS";

/// An embedded Secrets Manager. Clones share the same secrets.
#[derive(Clone)]
pub struct Secrets {
    shared: Arc<Shared>,
}

struct Shared {
    service: SecretsManagerService,
    file: Option<PathBuf>,
    /// Changes take turns, so that the file never holds an older state than the one before it.
    changing: Mutex<()>,
}

/// Why the secrets could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The file exists and cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is not one that was kept here.
    #[error("{path} does not hold secrets")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The service refuses the state that was kept.
    #[error("the kept secrets are refused")]
    Refused(#[source] StateViewError),
}

impl Secrets {
    /// No secrets, gone with the last clone.
    pub fn memory() -> Self {
        Self::over(None)
    }

    /// The secrets kept in the file at `path` (none the first time). Every change is written there, readable by
    /// its owner only, before it is answered.
    pub async fn open(path: &Path) -> Result<Self, SecretsError> {
        let secrets = Self::over(Some(path.to_owned()));
        let contents = crate::atomic_file::read(path)
            .map_err(|source| SecretsError::Unreadable { path: path.to_owned(), source })?;
        if let Some(contents) = contents {
            let view: SecretsmanagerStateView = serde_json::from_slice(&contents)
                .map_err(|source| SecretsError::Malformed { path: path.to_owned(), source })?;
            let restored = secrets.shared.service.restore(default_account_id(), REGION, view).await;
            restored.map_err(SecretsError::Refused)?;
        }
        Ok(secrets)
    }

    fn over(file: Option<PathBuf>) -> Self {
        let service = SecretsManagerService::new();
        Self { shared: Arc::new(Shared { service, file, changing: Mutex::new(()) }) }
    }

    /// Answers one operation of the Secrets Manager API, as the service would.
    pub async fn call(&self, operation: &str, body: &Value) -> Reply {
        if reads(operation) {
            return self.ask(operation, body).await;
        }
        let _turn = self.shared.changing.lock().await;
        if operation == "PutSecretValue" {
            self.unlabel_previous(&body["SecretId"]).await;
        }
        let reply = self.ask(operation, body).await;
        if reply.status >= 300 {
            return reply;
        }
        match self.keep().await {
            Ok(()) => reply,
            Err(error) => {
                tracing::error!(%error, operation, "a change of secrets could not be kept");
                Reply::internal_error("the change could not be kept")
            }
        }
    }

    /// In Secrets Manager one version at most is the previous one; winterbaume leaves the label on all that ever were.
    async fn unlabel_previous(&self, secret: &Value) {
        let known = self.ask("ListSecretVersionIds", &json!({"SecretId": secret})).await;
        for version in known.body["Versions"].as_array().into_iter().flatten() {
            let labels = version["VersionStages"].as_array();
            if labels.is_some_and(|labels| labels.iter().any(|label| label == PREVIOUS)) {
                let version = &version["VersionId"];
                let unlabel =
                    json!({"SecretId": secret, "VersionStage": PREVIOUS, "RemoveFromVersionId": version});
                self.ask("UpdateSecretVersionStage", &unlabel).await;
            }
        }
    }

    async fn ask(&self, operation: &str, body: &Value) -> Reply {
        let Ok(target) = HeaderValue::from_str(&format!("secretsmanager.{operation}")) else {
            return Reply::internal_error("the operation's name is no header value");
        };
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-target", target);
        let request = MockRequest {
            method: "POST".to_owned(),
            uri: SERVICE_URI.to_owned(),
            headers,
            body: Bytes::from(body.to_string()),
        };
        let response = self.shared.service.handle(request).await;
        match serde_json::from_slice(&response.body) {
            Ok(body) => Reply { status: response.status, body },
            Err(_) => Reply::internal_error("the service answered no JSON"),
        }
    }

    async fn keep(&self) -> io::Result<()> {
        let Some(file) = self.shared.file.clone() else {
            return Ok(());
        };
        let view = self.shared.service.snapshot(default_account_id(), REGION).await;
        let contents = serde_json::to_vec_pretty(&view)?;
        tokio::task::spawn_blocking(move || crate::atomic_file::replace(&file, &contents)).await?
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

/// Whether `operation` only reads. Secrets Manager names its operations by what they do.
fn reads(operation: &str) -> bool {
    ["Get", "BatchGet", "Describe", "List", "Validate"].iter().any(|verb| operation.starts_with(verb))
}
