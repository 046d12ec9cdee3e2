//! The wire form of the provider config and the config that its provider owns.

use af_api::provider::{
    FlyKind, FlyProviderConfig, GuestConfig, LocalKind, LocalProviderConfig, ProviderConfig,
    ProviderConfigView,
};
use af_app::App;
use af_app::pool::provider::config;
use af_domain::refusal::Refusal;
use af_http::parse_json;
use af_providers::{FlyConfig, Guest, LocalConfig};
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
    let json = Value::Object(body.clone()).to_string();
    match kind {
        "fly" => Ok(ProviderConfig::Fly(parse_json(json.as_bytes())?)),
        "local" => Ok(ProviderConfig::Local(parse_json(json.as_bytes())?)),
        other => Err(Refusal::field("/kind", format!("provider `{other}` has no config in this API"))),
    }
}

/// The config as its provider stores it.
pub(super) fn stored(config: ProviderConfig) -> af_providers::ProviderConfig {
    match config {
        ProviderConfig::Fly(fly) => af_providers::ProviderConfig::Fly(FlyConfig {
            app_name: fly.app_name,
            organization_slug: fly.organization_slug,
            image: fly.image,
            region: fly.region,
            volume_name: fly.volume_name,
            volume_path: fly.volume_path,
            volume_size_gb: fly.volume_size_gb,
            guest: fly.guest.map(|guest| Guest {
                cpu_kind: guest.cpu_kind,
                cpus: guest.cpus,
                memory_mb: guest.memory_mb,
            }),
            env: fly.env,
        }),
        ProviderConfig::Local(local) => af_providers::ProviderConfig::Local(LocalConfig {
            app_name: local.app_name,
            image: local.image,
            volume_path: local.volume_path,
            env: local.env,
        }),
    }
}

/// The config as the API shows it.
pub(super) fn view(view: config::ProviderConfigView) -> ProviderConfigView {
    ProviderConfigView { config: view.config.map(shown), warnings: view.warnings }
}

fn shown(config: af_providers::ProviderConfig) -> ProviderConfig {
    match config {
        af_providers::ProviderConfig::Fly(fly) => ProviderConfig::Fly(FlyProviderConfig {
            kind: FlyKind::Fly,
            app_name: fly.app_name,
            organization_slug: fly.organization_slug,
            image: fly.image,
            region: fly.region,
            volume_name: fly.volume_name,
            volume_path: fly.volume_path,
            volume_size_gb: fly.volume_size_gb,
            guest: fly.guest.map(|guest| GuestConfig {
                cpu_kind: guest.cpu_kind,
                cpus: guest.cpus,
                memory_mb: guest.memory_mb,
            }),
            env: fly.env,
        }),
        af_providers::ProviderConfig::Local(local) => ProviderConfig::Local(LocalProviderConfig {
            kind: LocalKind::Local,
            app_name: local.app_name,
            image: local.image,
            volume_path: local.volume_path,
            env: local.env,
        }),
    }
}
