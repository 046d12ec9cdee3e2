//! The configuration of OpenClaw.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::{ConfigError, check_url, duration};

/// The command that starts the gateway, when the environment sets none.
const DEFAULT_COMMAND: &str = "openclaw gateway";
/// Time limit of a start, when the environment sets none.
const DEFAULT_READY_TIMEOUT: Duration = Duration::from_secs(60);
/// The provider of a model without one.
const DEFAULT_PROVIDER: &str = "openai";

/// What to run, and its model.
#[derive(Clone, Debug)]
pub struct OpenClawConfig {
    /// The program and its first arguments (`OPENCLAW_GATEWAY_COMMAND`).
    pub command: Vec<String>,
    /// The model (`OPENCLAW_AGENT_MODEL`, else `OPENAI_MODEL`); `None` for the one of the operator's file.
    pub model: Option<ModelRef>,
    /// The base URL of the model's API (`OPENAI_BASE_URL`); `None` for the one that OpenClaw knows.
    pub base_url: Option<String>,
    /// The variable that holds the key for `base_url`: `OPENAI_API_KEY`, else `<PROVIDER>_API_KEY`; `None` if neither is set.
    pub key_name: Option<String>,
    /// A JSON file with OpenClaw's settings (`AGENT_FACTORY_OPENCLAW_CONFIG`).
    pub config_file: Option<PathBuf>,
    /// Time limit of a start (`OPENCLAW_GATEWAY_READY_TIMEOUT_MS`).
    pub ready_timeout: Duration,
}

/// A model as OpenClaw names it. It is displayed as `provider/name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelRef {
    /// The provider, such as `openai`.
    pub provider: String,
    /// The model's name at the provider.
    pub name: String,
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.name)
    }
}

impl ModelRef {
    /// The model of `text`. A name without a provider is one of OpenAI.
    pub fn of(text: &str) -> Self {
        let (provider, name) = text.split_once('/').unwrap_or((DEFAULT_PROVIDER, text));
        Self { provider: provider.to_owned(), name: name.to_owned() }
    }

    /// The variable in which OpenClaw expects the provider's key.
    pub fn key_name(&self) -> String {
        format!("{}_API_KEY", self.provider.to_uppercase().replace('-', "_"))
    }
}

impl OpenClawConfig {
    /// Reads the configuration.
    ///
    /// # Errors
    /// `ConfigError` that names the variable.
    pub fn from_env(get: &impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let command = get("OPENCLAW_GATEWAY_COMMAND").unwrap_or_else(|| DEFAULT_COMMAND.to_owned());
        let model = get("OPENCLAW_AGENT_MODEL").or_else(|| get("OPENAI_MODEL"));
        let model = model.map(|model| ModelRef::of(&model));
        let config_file = get("AGENT_FACTORY_OPENCLAW_CONFIG").map(PathBuf::from);
        if model.is_none() && config_file.is_none() {
            return Err(ConfigError::Missing("OPENCLAW_AGENT_MODEL"));
        }
        let base_url = get("OPENAI_BASE_URL");
        base_url.as_ref().map_or(Ok(()), |url| check_url("OPENAI_BASE_URL", url))?;
        let key_names =
            ["OPENAI_API_KEY".to_owned()].into_iter().chain(model.as_ref().map(ModelRef::key_name));
        let key_name = key_names.into_iter().find(|name| get(name).is_some());
        Ok(Self {
            command: command.split_whitespace().map(str::to_owned).collect(),
            model,
            base_url: base_url.map(|url| url.trim_end_matches('/').to_owned()),
            key_name,
            config_file,
            ready_timeout: duration(get, "OPENCLAW_GATEWAY_READY_TIMEOUT_MS")?
                .unwrap_or(DEFAULT_READY_TIMEOUT),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<OpenClawConfig, ConfigError> {
        OpenClawConfig::from_env(&|name| {
            variables.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_model_names_its_provider_or_is_one_of_openai() {
        let config =
            read(&[("OPENCLAW_AGENT_MODEL", "open-router/x/y"), ("OPEN_ROUTER_API_KEY", "k")]).unwrap();
        let model = config.model.unwrap();
        assert_eq!(
            (&*model.provider, &*model.name, model.to_string()),
            ("open-router", "x/y", "open-router/x/y".to_owned())
        );
        assert_eq!(config.key_name.as_deref(), Some("OPEN_ROUTER_API_KEY"));
        assert_eq!(ModelRef::of("small").to_string(), "openai/small");
    }

    #[test]
    fn a_model_or_a_file_with_one_is_required() {
        assert_eq!(read(&[]).unwrap_err(), ConfigError::Missing("OPENCLAW_AGENT_MODEL"));
        assert!(read(&[("AGENT_FACTORY_OPENCLAW_CONFIG", "/c.json")]).unwrap().model.is_none());
        let refused = read(&[("OPENCLAW_AGENT_MODEL", "m"), ("OPENAI_BASE_URL", "localhost")]).unwrap_err();
        assert!(refused.to_string().contains("OPENAI_BASE_URL"));
    }
}
