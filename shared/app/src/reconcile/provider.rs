//! Where workers run: the provider config, and what stands in for it on one machine.

use std::collections::BTreeMap;
use std::sync::Arc;

use af_domain::ids::SecretRef;
use af_providers::{Provider, ProviderKind, Scope};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use crate::{App, AppError};

/// Name of the config document.
const DOCUMENT: &str = "provider";
/// Secret that holds the public URL where the function is not told it.
const PUBLIC_URL_REF: &str = "factory.url";

/// The provider config, as far as it is needed to start local workers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProviderConfig {
    /// `local`; other kinds answer that they are not available yet.
    pub kind: String,
    /// Non-secret variables for every worker.
    pub env: BTreeMap<String, String>,
}

/// A usable provider, and how it is used.
pub(super) struct Place {
    pub provider: Arc<dyn Provider>,
    pub scope: Scope,
    pub env: BTreeMap<String, String>,
    pub public_url: String,
}

/// Writes the provider config.
///
/// # Errors
/// When the table cannot answer.
pub async fn configure(app: &App, config: &ProviderConfig) -> Result<(), AppError> {
    let json = serde_json::to_string(config)
        .map_err(|source| AppError::Unreadable { what: "provider config", source })?;
    Ok(app.store.put_config(DOCUMENT, &json).await?)
}

/// The place where workers run, or what is missing, in words that name the fix. Workers are told the public URL of
/// the function, else of the secret, else `reached_at`, the one by which a caller has just reached us.
pub(super) async fn place(app: &App, reached_at: Option<&str>) -> Result<Result<Place, String>, AppError> {
    let Some(json) = app.store.config(DOCUMENT).await? else {
        return Ok(Err("Missing providerConfig.kind.".to_owned()));
    };
    let config: ProviderConfig = serde_json::from_str(&json)
        .map_err(|source| AppError::Unreadable { what: "provider config", source })?;
    let kind: ProviderKind = match config.kind.parse() {
        Ok(kind) => kind,
        Err(unknown) => return Ok(Err(format!("providerConfig.kind: {unknown}"))),
    };
    let provider = match app.providers.get(kind) {
        Ok(provider) => provider,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let public_url = match &app.public_url {
        Some(url) => Some(url.clone()),
        None => {
            let secret = app.secrets.get(&SecretRef::parse(PUBLIC_URL_REF)?, app.now()).await?;
            secret.map(|s| s.expose_secret().to_owned()).or_else(|| reached_at.map(str::to_owned))
        }
    };
    let Some(public_url) = public_url else {
        let missing = "Missing public URL. Set it at deploy time or import an active 'factory.url' secret.";
        return Ok(Err(missing.to_owned()));
    };
    let scope = Scope { app_name: kind.as_str().to_owned(), deployment_id: app.deployment_id.clone(), volume_name: String::new() };
    Ok(Ok(Place { provider, scope, env: config.env, public_url }))
}
