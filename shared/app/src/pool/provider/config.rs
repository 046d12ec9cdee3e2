//! The provider config: checked, stored, shown. It holds no secret. Its image is what machines run.

use af_domain::refusal::Refusal;
use af_providers::{PoolConfig, ProviderConfig};

use crate::{App, AppError, Result};

/// Name of the config document.
pub(crate) const DOCUMENT: &str = "provider";

/// The stored config, and what an operator should know about it.
#[derive(Clone, Debug, Default)]
pub struct ProviderConfigView {
    /// The config; `None` while none is set.
    pub config: Option<ProviderConfig>,
    /// What works but may be a mistake.
    pub warnings: Vec<String>,
}

/// Writes the config without a check, for a caller that knows that it is valid.
pub async fn configure(app: &App, config: &ProviderConfig) -> Result<()> {
    let json = serde_json::to_string(config).map_err(unreadable)?;
    Ok(app.store.put_config(DOCUMENT, &json).await?)
}

/// Checks that this process has a provider of this kind. Otherwise the refusal of `/kind` names the available kinds.
pub fn check_kind(app: &App, kind: &str) -> Result<(), Refusal> {
    app.providers.get(kind).map(drop).map_err(|error| Refusal::field("/kind", error.to_string()))
}

/// Checks and writes the config. A refusal names the invalid field, and nothing is written then.
pub async fn set(app: &App, config: ProviderConfig) -> Result<ProviderConfigView> {
    let kind = config.kind();
    check_kind(app, kind.as_str())?;
    config.check()?;
    if let Some(name) = config.missing_field() {
        return Err(Refusal::field(format!("/{name}"), missing_field_text(name)).into());
    }
    configure(app, &config).await?;
    tracing::info!(%kind, "provider config set");
    Ok(view(Some(config)))
}

/// Shows the config.
pub async fn show(app: &App) -> Result<ProviderConfigView> {
    Ok(view(stored(app).await?))
}

pub(crate) async fn stored(app: &App) -> Result<Option<ProviderConfig>> {
    let json = app.store.config(DOCUMENT, false).await?;
    json.map(|json| serde_json::from_str(&json).map_err(unreadable)).transpose()
}

pub(super) fn missing_field_text(field: &str) -> String {
    format!("Missing providerConfig.{field}.")
}

fn view(config: Option<ProviderConfig>) -> ProviderConfigView {
    let warnings = config.as_ref().map(PoolConfig::warnings).unwrap_or_default();
    ProviderConfigView { config, warnings }
}

fn unreadable(source: serde_json::Error) -> AppError {
    AppError::Unreadable { what: "provider config", source }
}
