//! The config of Fly: which app, image and machine size workers run with.

use std::collections::BTreeMap;

use af_domain::refusal::Refusal;
use serde::{Deserialize, Serialize};

use crate::checks;
use crate::config::{PoolConfig, PoolSettings};
use crate::machine::Guest;

/// The config as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct FlyConfig {
    /// The app that machines are in. Other deployments may share it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_name: Option<String>,
    /// The organization that the operator expects the app to belong to. Readiness warns when it is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization_slug: Option<String>,
    /// The image that machines run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The region of machines and volumes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// What the names of volumes begin with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_name: Option<String>,
    /// Where a volume appears in its machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_path: Option<String>,
    /// The size of a volume in GB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_size_gb: Option<u32>,
    /// The size of a machine; Fly's default when it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guest: Option<Guest>,
    /// Non-secret variables for every worker.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

/// Checks `/guest`. Fly has `shared` and `performance` CPUs.
fn check_guest(guest: &Guest) -> Result<(), Refusal> {
    if !matches!(guest.cpu_kind.as_str(), "shared" | "performance") {
        let detail = "guest.cpuKind must be shared or performance";
        return Err(Refusal::field("/guest/cpuKind", detail));
    }
    if !(1..=16).contains(&guest.cpus) {
        return Err(Refusal::field("/guest/cpus", "guest.cpus must be 1 to 16"));
    }
    if !(256..=131_072).contains(&guest.memory_mb) || !guest.memory_mb.is_multiple_of(256) {
        let detail = "guest.memoryMb must be a multiple of 256 from 256 to 131072";
        return Err(Refusal::field("/guest/memoryMb", detail));
    }
    Ok(())
}

impl PoolConfig for FlyConfig {
    fn check(&self) -> Result<(), Refusal> {
        checks::name("/appName", self.app_name.as_deref())?;
        checks::name("/organizationSlug", self.organization_slug.as_deref())?;
        checks::name("/region", self.region.as_deref())?;
        checks::image(self.image.as_deref())?;
        checks::volume_name(self.volume_name.as_deref())?;
        checks::volume_path(self.volume_path.as_deref())?;
        if self.volume_size_gb.is_some_and(|gb| !(1..=500).contains(&gb)) {
            return Err(Refusal::field("/volumeSizeGb", "volumeSizeGb must be 1 to 500"));
        }
        self.guest.as_ref().map_or(Ok(()), check_guest)?;
        checks::env(&self.env)
    }

    fn missing_field(&self) -> Option<&'static str> {
        let required = [("appName", &self.app_name), ("image", &self.image), ("region", &self.region)];
        required.into_iter().find(|(_, value)| value.is_none()).map(|(name, _)| name)
    }

    fn warnings(&self) -> Vec<String> {
        let (Some(app), Some(image)) = (&self.app_name, &self.image) else { return Vec::new() };
        let own = format!("registry.fly.io/{app}");
        let is_own =
            image.strip_prefix(&own).is_some_and(|rest| rest.starts_with([':', '@']) || rest.is_empty());
        if is_own {
            return Vec::new();
        }
        vec![format!("image {image} is outside the app's own registry path, {own}")]
    }

    fn settings(&self) -> PoolSettings {
        let defaults = PoolSettings::default();
        PoolSettings {
            app_name: self.app_name.clone(),
            organization: self.organization_slug.clone(),
            image: self.image.clone().unwrap_or_default(),
            region: self.region.clone().unwrap_or_default(),
            guest: self.guest.clone(),
            volume_name: self.volume_name.clone().unwrap_or_default(),
            volume_path: self.volume_path.clone().unwrap_or(defaults.volume_path),
            volume_size_gb: self.volume_size_gb.unwrap_or(defaults.volume_size_gb),
            env: self.env.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(app: &str, image: &str) -> FlyConfig {
        FlyConfig { app_name: Some(app.to_owned()), image: Some(image.to_owned()), ..FlyConfig::default() }
    }

    #[test]
    fn an_image_of_another_app_is_a_warning() {
        assert!(config("agents", "registry.fly.io/agents:7").warnings().is_empty());
        assert!(config("agents", "registry.fly.io/agents@sha256:aa").warnings().is_empty());
        assert_eq!(config("agents", "registry.fly.io/agents-old:7").warnings().len(), 1);
        assert_eq!(config("agents", "docker.io/library/worker:1").warnings().len(), 1);
    }

    #[test]
    fn app_image_and_region_are_required() {
        let mut config = FlyConfig::default();
        assert_eq!(config.missing_field(), Some("appName"));
        config.app_name = Some("agents".to_owned());
        assert_eq!(config.missing_field(), Some("image"));
        config.image = Some("i".to_owned());
        assert_eq!(config.missing_field(), Some("region"));
        config.region = Some("fra".to_owned());
        assert_eq!(config.missing_field(), None);
    }

    #[test]
    fn a_refused_value_is_named_by_the_pointer_to_its_field() {
        let refused = |change: fn(&mut FlyConfig)| {
            let mut config = config("agents", "i");
            assert_eq!(config.check(), Ok(()));
            change(&mut config);
            config.check().unwrap_err().pointer.unwrap()
        };
        assert_eq!(refused(|c| c.app_name = Some("My App".into())), "/appName");
        assert_eq!(refused(|c| c.organization_slug = Some(String::new())), "/organizationSlug");
        assert_eq!(refused(|c| c.region = Some("fra/../".into())), "/region");
        assert_eq!(refused(|c| c.image = Some("an image".into())), "/image");
        assert_eq!(refused(|c| c.volume_name = Some("Data-1".into())), "/volumeName");
        assert_eq!(refused(|c| c.volume_path = Some("/data/../etc".into())), "/volumePath");
        assert_eq!(refused(|c| c.volume_size_gb = Some(0)), "/volumeSizeGb");
        let guest =
            |cpu_kind: &str, cpus, memory_mb| Some(Guest { cpu_kind: cpu_kind.to_owned(), cpus, memory_mb });
        for (given, pointer) in [
            (guest("fast", 1, 256), "/guest/cpuKind"),
            (guest("shared", 0, 256), "/guest/cpus"),
            (guest("shared", 1, 300), "/guest/memoryMb"),
        ] {
            let config = FlyConfig { guest: given, ..config("agents", "i") };
            assert_eq!(config.check().unwrap_err().pointer.as_deref(), Some(pointer));
        }
        assert_eq!(refused(|c| c.env = BTreeMap::from([("1A".into(), "x".into())])), "/env");
        assert_eq!(refused(|c| c.env = BTreeMap::from([("A".into(), "x".repeat(5_000))])), "/env/A");
    }
}
