//! The config of workers on this machine. Nothing in it is required.

use std::collections::BTreeMap;

use af_domain::refusal::Refusal;
use serde::{Deserialize, Serialize};

use crate::checks;
use crate::config::{PoolConfig, PoolSettings};

/// The config as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct LocalConfig {
    /// The name under which machines are shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_name: Option<String>,
    /// What workers count as running. A change replaces them, as a new image does elsewhere; the program stays the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The path that variables name for the worker's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_path: Option<String>,
    /// Non-secret variables for every worker.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

impl PoolConfig for LocalConfig {
    fn check(&self) -> Result<(), Refusal> {
        checks::name("/appName", self.app_name.as_deref())?;
        checks::image(self.image.as_deref())?;
        checks::volume_path(self.volume_path.as_deref())?;
        checks::env(&self.env)
    }

    fn missing_field(&self) -> Option<&'static str> {
        None
    }

    fn warnings(&self) -> Vec<String> {
        let ignored =
            "image: `local` runs the program of `dev`, not this image; a change only replaces the workers";
        self.image.iter().map(|_| ignored.to_owned()).collect()
    }

    fn settings(&self) -> PoolSettings {
        let defaults = PoolSettings::default();
        PoolSettings {
            app_name: self.app_name.clone(),
            image: self.image.clone().unwrap_or_default(),
            volume_path: self.volume_path.clone().unwrap_or(defaults.volume_path),
            env: self.env.clone(),
            ..defaults
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_for_local_warns() {
        let config = LocalConfig::default();
        assert_eq!(config.warnings(), [""; 0]);
        let config = LocalConfig { image: Some("img:2".into()), ..config };
        assert_eq!((config.check(), config.warnings().len()), (Ok(()), 1));
    }

    #[test]
    fn a_refused_value_is_named_by_the_pointer_to_its_field() {
        let config = LocalConfig::default();
        assert_eq!((config.check(), config.missing_field()), (Ok(()), None));
        for (config, pointer) in [
            (LocalConfig { app_name: Some("My App".into()), ..config.clone() }, "/appName"),
            (LocalConfig { image: Some("an image".into()), ..config.clone() }, "/image"),
            (LocalConfig { volume_path: Some("data".into()), ..config.clone() }, "/volumePath"),
            (LocalConfig { env: BTreeMap::from([("1A".into(), "x".into())]), ..config }, "/env"),
        ] {
            assert_eq!(config.check().unwrap_err().pointer.as_deref(), Some(pointer));
        }
    }
}
