//! The list of providers. A new provider is one line in it.

use std::sync::Arc;

use af_domain::refusal::Refusal;
use af_runtime::env::Env;
use serde::{Deserialize, Serialize};

use crate::config::{PoolConfig, PoolSettings};
use crate::ports::{Ports, WiringError};
use crate::provider::{Provider, ProviderKind};
use crate::{fly, local};

/// Makes a provider from the environment; `None` when the environment has no settings for it.
pub(crate) type FromEnv = fn(&Env, &Ports) -> Result<Option<Arc<dyn Provider>>, WiringError>;

/// A provider that a process can make from its environment.
pub(crate) struct Wiring {
    pub kind: ProviderKind,
    pub from_env: FromEnv,
}

macro_rules! providers {
    ($($(#[$doc:meta])* $variant:ident($name:literal, $config:ty, $from_env:path),)+) => {
        /// Where and how workers run, by the kind of the provider. The stored form is the provider's own config with
        /// its kind: `{"kind": "fly", …}`.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "kind")]
        pub enum ProviderConfig {
            $($(#[$doc])* #[serde(rename = $name)] $variant($config),)+
        }

        impl ProviderConfig {
            /// The kind of the provider.
            pub const fn kind(&self) -> ProviderKind {
                match self {
                    $(Self::$variant(_) => ProviderKind::new($name),)+
                }
            }

            fn config(&self) -> &dyn PoolConfig {
                match self {
                    $(Self::$variant(config) => config,)+
                }
            }
        }

        $(impl From<$config> for ProviderConfig {
            fn from(config: $config) -> Self {
                Self::$variant(config)
            }
        })+

        /// Every provider of the list.
        pub(crate) const WIRING: &[Wiring] =
            &[$(Wiring { kind: ProviderKind::new($name), from_env: $from_env },)+];
    };
}

providers! {
    /// Fly Machines.
    Fly("fly", fly::FlyConfig, fly::from_env),
    /// Worker processes on this machine.
    Local("local", local::LocalConfig, local::from_env),
}

impl PoolConfig for ProviderConfig {
    fn check(&self) -> Result<(), Refusal> {
        self.config().check()
    }

    fn missing_field(&self) -> Option<&'static str> {
        self.config().missing_field()
    }

    fn warnings(&self) -> Vec<String> {
        self.config().warnings()
    }

    fn settings(&self) -> PoolSettings {
        self.config().settings()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::fly::FlyConfig;
    use crate::machine::Guest;

    /// The document as it is stored since the first version.
    const STORED_FLY: &str = r#"{"kind":"fly","appName":"agents","organizationSlug":"acme","image":"registry.fly.io/agents:7","region":"fra","volumeName":"data","volumePath":"/data","volumeSizeGb":2,"guest":{"cpuKind":"shared","cpus":1,"memoryMb":512},"env":{"LOG":"info"}}"#;

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn a_stored_fly_config_is_read_and_written_unchanged() {
        let config: ProviderConfig = serde_json::from_str(STORED_FLY).unwrap();
        let expected = FlyConfig {
            app_name: text("agents"),
            organization_slug: text("acme"),
            image: text("registry.fly.io/agents:7"),
            region: text("fra"),
            volume_name: text("data"),
            volume_path: text("/data"),
            volume_size_gb: Some(2),
            guest: Some(Guest { cpu_kind: "shared".to_owned(), cpus: 1, memory_mb: 512 }),
            env: BTreeMap::from([("LOG".to_owned(), "info".to_owned())]),
        };
        assert_eq!(config, ProviderConfig::Fly(expected));
        assert_eq!(serde_json::to_string(&config).unwrap(), STORED_FLY);
    }

    #[test]
    fn a_stored_config_may_lack_every_field_but_its_kind() {
        for (stored, kind) in
            [(r#"{"kind":"fly"}"#, ProviderKind::FLY), (r#"{"kind":"local"}"#, ProviderKind::LOCAL)]
        {
            let config: ProviderConfig = serde_json::from_str(stored).unwrap();
            assert_eq!(config.kind(), kind);
            assert_eq!(serde_json::to_string(&config).unwrap(), stored);
        }
    }

    #[test]
    fn a_stored_config_of_an_unknown_kind_or_with_an_unknown_field_is_an_error() {
        for (stored, error) in [
            (r#"{"kind":"ecs"}"#, "unknown variant `ecs`, expected `fly` or `local`"),
            (r#"{"kind":"fly","zones":[]}"#, "unknown field `zones`"),
            (r#"{"appName":"agents"}"#, "missing field `kind`"),
        ] {
            let read = serde_json::from_str::<ProviderConfig>(stored).unwrap_err().to_string();
            assert!(read.starts_with(error), "{read}");
        }
    }
}
