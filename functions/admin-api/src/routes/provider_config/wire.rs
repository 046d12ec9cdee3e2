//! The wire form of the provider config and the config that its provider owns.

use af_api::provider::{ProviderConfig, ProviderConfigView};
use af_app::pool::provider::config;
use af_app::{App, AppError};
use af_domain::refusal::Refusal;
use af_http::parse_value;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Reads the config by its kind. Each kind is read by its own type, so that the pointer of a refusal names the field.
///
/// # Errors
/// A refusal of `/kind` when it is missing or this process has no such provider; otherwise of the field at fault.
pub(super) fn read(app: &App, body: &Map<String, Value>) -> Result<ProviderConfig, Refusal> {
    let kind = match body.get("kind") {
        None => return Err(Refusal::field("/kind", "Missing providerConfig.kind.")),
        Some(Value::String(kind)) => kind.as_str(),
        Some(_) => return Err(Refusal::field("/kind", "must be a string")),
    };
    config::check_kind(app, kind)?;
    let json = Value::Object(body.clone());
    match kind {
        "fly" => Ok(ProviderConfig::Fly(parse_value(json)?)),
        "local" => Ok(ProviderConfig::Local(parse_value(json)?)),
        other => Err(Refusal::field("/kind", format!("provider `{other}` has no config in this API"))),
    }
}

/// The config as its provider stores it.
pub(super) fn stored(config: &ProviderConfig) -> Result<af_providers::ProviderConfig, AppError> {
    same_json(config)
}

/// The config as the API shows it.
pub(super) fn view(view: config::ProviderConfigView) -> Result<ProviderConfigView, AppError> {
    let config = view.config.as_ref().map(same_json).transpose()?;
    Ok(ProviderConfigView { config, warnings: view.warnings })
}

/// The stored form and the wire form of a config are the same JSON.
fn same_json<T: DeserializeOwned>(config: &impl Serialize) -> Result<T, AppError> {
    let unreadable = |source| AppError::Unreadable { what: "provider config", source };
    serde_json::from_value(serde_json::to_value(config).map_err(unreadable)?).map_err(unreadable)
}
