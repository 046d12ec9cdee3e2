//! The provider config: checked, stored, shown. It holds no secret, and its image is what is spawned.

use std::collections::BTreeMap;

use af_domain::refusal::Refusal;
use af_providers::{Capabilities, Guest, ProviderKind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{App, AppError};

/// Name of the config document.
const DOCUMENT: &str = "provider";
/// Variables for every worker; far more than one needs.
const ENV_COUNT_MAX: usize = 100;
/// Longest name and value of a variable.
const ENV_NAME_LEN_MAX: usize = 128;
const ENV_VALUE_LEN_MAX: usize = 4_096;
/// Bytes of all of them, so that the document fits an item and a machine's configuration.
const ENV_BYTES_MAX: usize = 32_768;
/// Longest name of an app, region or organization.
const WORD_LEN_MAX: usize = 63;
/// Longest image reference, as registries take it.
const IMAGE_LEN_MAX: usize = 500;
/// Where the volume appears in a machine, unless the config says otherwise.
const VOLUME_PATH: &str = "/data";
/// Longest path of a volume.
const PATH_LEN_MAX: usize = 200;

/// Where and how workers run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ProviderConfig {
    /// `fly` or `local`; other kinds are not available yet.
    pub kind: String,
    /// The provider's grouping of machines; it may be shared with other deployments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_name: Option<String>,
    /// The organization that the app belongs to, as the operator believes: readiness says so if it is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization_slug: Option<String>,
    /// What workers run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Where they run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// What the names of volumes begin with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_name: Option<String>,
    /// Where a volume appears in its machine; `/data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_path: Option<String>,
    /// Size of a volume in GB; 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_size_gb: Option<u32>,
    /// Size of a machine; the provider's own default when none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guest: Option<GuestConfig>,
    /// Non-secret variables for every worker.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

/// The size of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GuestConfig {
    /// `shared` or `performance`.
    pub cpu_kind: String,
    /// How many, 1 to 16.
    pub cpus: u32,
    /// Memory in MB, a multiple of 256.
    pub memory_mb: u32,
}

impl From<GuestConfig> for Guest {
    fn from(guest: GuestConfig) -> Self {
        Self { cpu_kind: guest.cpu_kind, cpus: guest.cpus, memory_mb: guest.memory_mb }
    }
}

/// The config as it is stored, and what an operator should know about it.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderConfigView {
    /// The config; null before the first.
    pub config: Option<ProviderConfig>,
    /// What works and yet may be a mistake.
    pub warnings: Vec<String>,
}

impl ProviderConfig {
    /// The first field that the provider needs and the config lacks.
    pub(crate) fn missing(&self, capabilities: &Capabilities) -> Option<&'static str> {
        let has = |field: &str| match field {
            "appName" => self.app_name.is_some(),
            "image" => self.image.is_some(),
            "region" => self.region.is_some(),
            _ => false,
        };
        capabilities.required_config.iter().copied().find(|field| !has(field))
    }

    /// Where a volume appears in its machine.
    pub(crate) fn volume_path(&self) -> &str {
        self.volume_path.as_deref().unwrap_or(VOLUME_PATH)
    }

    fn warnings(&self) -> Vec<String> {
        let (Some(app), Some(image)) = (&self.app_name, &self.image) else { return Vec::new() };
        let own = format!("registry.fly.io/{app}");
        let is_own =
            image.strip_prefix(&own).is_some_and(|rest| rest.starts_with([':', '@']) || rest.is_empty());
        if self.kind != ProviderKind::Fly.as_str() || is_own {
            return Vec::new();
        }
        vec![format!("image {image} is outside the app's own registry path, {own}")]
    }
}

/// Writes the config as it is, for whoever knows that it is good.
///
/// # Errors
/// When the table cannot answer.
pub async fn configure(app: &App, config: &ProviderConfig) -> Result<(), AppError> {
    let json = serde_json::to_string(config).map_err(unreadable)?;
    Ok(app.store.put_config(DOCUMENT, &json).await?)
}

/// Checks and writes the config.
///
/// # Errors
/// A refusal that names the field at fault; nothing is written then.
pub async fn set(app: &App, config: ProviderConfig) -> Result<ProviderConfigView, AppError> {
    check(&config)?;
    let kind: ProviderKind =
        config.kind.parse().map_err(|unknown| field("/kind", format!("providerConfig.kind: {unknown}")))?;
    let provider = app.providers.get(kind).map_err(|error| field("/kind", error.to_string()))?;
    if let Some(name) = config.missing(&provider.capabilities()) {
        return Err(field(&format!("/{name}"), format!("Missing providerConfig.{name}.")).into());
    }
    configure(app, &config).await?;
    tracing::info!(%kind, "provider config set");
    Ok(view(Some(config)))
}

/// Shows the config.
///
/// # Errors
/// When the table cannot answer.
pub async fn show(app: &App) -> Result<ProviderConfigView, AppError> {
    Ok(view(stored(app).await?))
}

pub(crate) async fn stored(app: &App) -> Result<Option<ProviderConfig>, AppError> {
    let json = app.store.config(DOCUMENT).await?;
    json.map(|json| serde_json::from_str(&json).map_err(unreadable)).transpose()
}

fn view(config: Option<ProviderConfig>) -> ProviderConfigView {
    let warnings = config.as_ref().map(ProviderConfig::warnings).unwrap_or_default();
    ProviderConfigView { config, warnings }
}

fn unreadable(source: serde_json::Error) -> AppError {
    AppError::Unreadable { what: "provider config", source }
}

fn field(pointer: &str, detail: impl Into<String>) -> Refusal {
    Refusal::field(pointer, detail)
}

fn check(config: &ProviderConfig) -> Result<(), Refusal> {
    if config.kind.is_empty() {
        return Err(field("/kind", "Missing providerConfig.kind."));
    }
    let words = [
        ("/appName", &config.app_name),
        ("/organizationSlug", &config.organization_slug),
        ("/region", &config.region),
    ];
    for (pointer, word) in words {
        text(pointer, word, is_word, "1 to 63 of a-z, 0-9 and -")?;
    }
    text("/image", &config.image, is_image, "an image reference of at most 500 characters")?;
    text("/volumeName", &config.volume_name, is_volume_name, "1 to 30 of a-z, 0-9 and _")?;
    text("/volumePath", &config.volume_path, is_path, "an absolute path without .., at most 200 characters")?;
    if config.volume_size_gb.is_some_and(|gb| !(1..=500).contains(&gb)) {
        return Err(field("/volumeSizeGb", "volumeSizeGb must be 1 to 500"));
    }
    if let Some(guest) = &config.guest {
        check_guest(guest)?;
    }
    check_env(&config.env)
}

fn text(pointer: &str, value: &Option<String>, fits: fn(&str) -> bool, what: &str) -> Result<(), Refusal> {
    match value {
        Some(value) if !fits(value) => Err(field(pointer, format!("{} must be {what}", &pointer[1..]))),
        _ => Ok(()),
    }
}

fn is_word(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=WORD_LEN_MAX).contains(&text.len()) && text.bytes().all(fits)
}

fn is_image(text: &str) -> bool {
    (1..=IMAGE_LEN_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

fn is_volume_name(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    (1..=30).contains(&text.len()) && text.bytes().all(fits)
}

fn is_path(text: &str) -> bool {
    let graphic = text.bytes().all(|b| b.is_ascii_graphic());
    (2..=PATH_LEN_MAX).contains(&text.len())
        && text.starts_with('/')
        && graphic
        && !text.split('/').any(|s| s == "..")
}

fn check_guest(guest: &GuestConfig) -> Result<(), Refusal> {
    if !matches!(guest.cpu_kind.as_str(), "shared" | "performance") {
        return Err(field("/guest/cpuKind", "guest.cpuKind must be shared or performance"));
    }
    if !(1..=16).contains(&guest.cpus) {
        return Err(field("/guest/cpus", "guest.cpus must be 1 to 16"));
    }
    if !(256..=131_072).contains(&guest.memory_mb) || !guest.memory_mb.is_multiple_of(256) {
        return Err(field("/guest/memoryMb", "guest.memoryMb must be a multiple of 256 from 256 to 131072"));
    }
    Ok(())
}

fn check_env(env: &BTreeMap<String, String>) -> Result<(), Refusal> {
    let bytes: usize = env.iter().map(|(name, value)| name.len() + value.len()).sum();
    if env.len() > ENV_COUNT_MAX || bytes > ENV_BYTES_MAX {
        let detail = format!("env must be at most {ENV_COUNT_MAX} variables of {ENV_BYTES_MAX} bytes in all");
        return Err(field("/env", detail));
    }
    for (name, value) in env {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let is_name = (1..=ENV_NAME_LEN_MAX).contains(&name.len())
            && name.bytes().all(fits)
            && !name.starts_with(|c: char| c.is_ascii_digit());
        if !is_name {
            return Err(field("/env", "names in env must be letters, digits and _, and begin with no digit"));
        }
        if value.len() > ENV_VALUE_LEN_MAX || value.contains('\0') {
            let detail = format!("values in env must be at most {ENV_VALUE_LEN_MAX} bytes, without NUL");
            return Err(field(&format!("/env/{name}"), detail));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fly(app: &str, image: &str) -> ProviderConfig {
        ProviderConfig {
            kind: "fly".to_owned(),
            app_name: Some(app.to_owned()),
            image: Some(image.to_owned()),
            ..ProviderConfig::default()
        }
    }

    #[test]
    fn an_image_of_another_app_is_a_warning() {
        assert!(fly("agents", "registry.fly.io/agents:7").warnings().is_empty());
        assert!(fly("agents", "registry.fly.io/agents@sha256:aa").warnings().is_empty());
        assert_eq!(fly("agents", "registry.fly.io/agents-old:7").warnings().len(), 1);
        assert_eq!(fly("agents", "docker.io/library/worker:1").warnings().len(), 1);
    }

    #[test]
    fn every_field_has_its_bounds() {
        let refused = |change: fn(&mut ProviderConfig)| {
            let mut config = fly("agents", "i");
            assert_eq!(check(&config), Ok(()));
            change(&mut config);
            check(&config).unwrap_err().pointer.unwrap()
        };
        assert_eq!(refused(|c| c.kind.clear()), "/kind");
        assert_eq!(refused(|c| c.app_name = Some("My App".into())), "/appName");
        assert_eq!(refused(|c| c.organization_slug = Some(String::new())), "/organizationSlug");
        assert_eq!(refused(|c| c.region = Some("fra/../".into())), "/region");
        assert_eq!(refused(|c| c.image = Some("an image".into())), "/image");
        assert_eq!(refused(|c| c.volume_name = Some("Data-1".into())), "/volumeName");
        assert_eq!(refused(|c| c.volume_path = Some("/data/../etc".into())), "/volumePath");
        assert_eq!(refused(|c| c.volume_size_gb = Some(0)), "/volumeSizeGb");
        let guest = |cpu_kind: &str, cpus, memory_mb| {
            Some(GuestConfig { cpu_kind: cpu_kind.to_owned(), cpus, memory_mb })
        };
        for (given, pointer) in [
            (guest("fast", 1, 256), "/guest/cpuKind"),
            (guest("shared", 0, 256), "/guest/cpus"),
            (guest("shared", 1, 300), "/guest/memoryMb"),
        ] {
            let config = ProviderConfig { guest: given, ..fly("agents", "i") };
            assert_eq!(check(&config).unwrap_err().pointer.as_deref(), Some(pointer));
        }
        assert_eq!(refused(|c| c.env = BTreeMap::from([("1A".into(), "x".into())])), "/env");
        assert_eq!(refused(|c| c.env = BTreeMap::from([("A".into(), "x".repeat(5_000))])), "/env/A");
    }
}
