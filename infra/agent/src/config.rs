//! A worker's configuration, from its environment.
//!
//! `POLL_INTERVAL_MS`, `HEARTBEAT_INTERVAL_MS` and `WORKER_IDLE_TIMEOUT_MS` are not read: in the native contract
//! every answer says when the next call is due, and the server says when to stop.

mod openclaw;
mod skills;

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;

use crate::bridge::BridgeFallback;
pub use openclaw::{ModelRef, OpenClawConfig};
pub use skills::SkillsConfig;

/// Time for a running message after a SIGTERM, when the environment sets none. Fly waits for 300 s. The snapshot needs
/// the rest.
const DEFAULT_SHUTDOWN: Duration = Duration::from_secs(240);
/// The unprivileged user of most systems.
pub const UNPRIVILEGED_UID: u32 = 65_534;
/// OpenAI's own API.
const DEFAULT_OPENAI_URL: &str = "https://api.openai.com/v1";

/// A worker's configuration. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Config {
    /// Base URL of the deployment (`AGENT_FACTORY_URL`).
    pub url: String,
    /// The worker token (`AGENT_FACTORY_WORKER_TOKEN`).
    pub token: SecretString,
    /// The worker's id, for logs (`AGENT_FACTORY_WORKER_ID`, else `WORKER_ID`).
    pub worker_id: String,
    /// The conversation that the worker was started for (`OPENCLAW_CONVERSATION_ID`).
    pub conversation_id: Option<String>,
    /// The data folder (`AGENT_FACTORY_DATA_DIR`), in which the command engine runs. Snapshots hold its files.
    pub data_dir: Option<PathBuf>,
    /// The workspace folder, with the documents of the agent (`OPENCLAW_WORKSPACE_DIR` if it is in the data folder, else
    /// `workspace` in it).
    pub workspace_dir: Option<PathBuf>,
    /// The user that the program of the engine runs as, and that owns the files in the data folder
    /// (`AGENT_FACTORY_COMMAND_UID`); `None` for the worker's own user. A worker of root takes `UNPRIVILEGED_UID` when
    /// the variable is not set.
    pub command_uid: Option<u32>,
    /// The engine (`AGENT_FACTORY_ENGINE`, `AGENT_FACTORY_COMMAND`).
    pub engine: EngineConfig,
    /// How long a running message may continue after the shutdown began (`AGENT_FACTORY_SHUTDOWN_MS`). A reply whose
    /// sending has begun by then is still sent completely.
    pub shutdown_limit: Duration,
    /// The global skills to keep on the disk (`SKILLS_BOOTSTRAP_MODE`); none by default.
    pub skills: Option<SkillsConfig>,
    /// Bridge values that apply where hydration has none.
    pub bridge: BridgeFallback,
}

/// The engine that answers messages.
#[derive(Clone, Debug)]
pub enum EngineConfig {
    /// Repeats the message.
    Echo,
    /// Runs a program.
    Command {
        /// The program: a path, or a name in PATH.
        program: PathBuf,
    },
    /// Asks a language model.
    OpenAi(OpenAiConfig),
    /// Runs OpenClaw on the volume.
    OpenClaw {
        /// What to run, and its model.
        openclaw: OpenClawConfig,
        /// The data folder.
        volume: PathBuf,
    },
}

/// The language model that answers, and the URL of its API.
#[derive(Clone, Debug)]
pub struct OpenAiConfig {
    /// The API's base URL, such as `https://api.openai.com/v1` (`OPENAI_BASE_URL`).
    pub base_url: String,
    /// The model's name in that API (`OPENCLAW_AGENT_MODEL`, else `OPENAI_MODEL`).
    pub model: String,
    /// The API key (`OPENAI_API_KEY`); a self-hosted server may need none.
    pub api_key: Option<SecretString>,
}

/// Why the environment does not configure a worker.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigError {
    /// A variable is missing or blank.
    #[error("environment variable {0} is missing")]
    Missing(&'static str),
    /// A variable has an invalid value.
    #[error("environment variable {0} must be {1}")]
    Invalid(&'static str, &'static str),
}

impl Config {
    /// Reads the configuration through `get`, which answers the value of an environment variable. A blank value counts
    /// as missing.
    ///
    /// # Errors
    /// `ConfigError` that names the variable.
    pub fn from_env(get: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let get = |name: &str| get(name).filter(|value| !value.trim().is_empty());
        let required = |name: &'static str| get(name).ok_or(ConfigError::Missing(name));
        let url = required("AGENT_FACTORY_URL")?;
        check_url("AGENT_FACTORY_URL", &url)?;
        let worker_id = get("AGENT_FACTORY_WORKER_ID").or_else(|| get("WORKER_ID"));
        let engine = match get("AGENT_FACTORY_ENGINE").as_deref() {
            None | Some("echo") => EngineConfig::Echo,
            Some("command") => EngineConfig::Command { program: required("AGENT_FACTORY_COMMAND")?.into() },
            Some("openai") => EngineConfig::OpenAi(openai_config(get)?),
            Some("openclaw") => EngineConfig::OpenClaw {
                openclaw: OpenClawConfig::from_env(&get)?,
                // OpenClaw runs in a folder of its own, so a relative path would name another one there.
                volume: std::path::absolute(required("AGENT_FACTORY_DATA_DIR")?)
                    .map_err(|_| ConfigError::Invalid("AGENT_FACTORY_DATA_DIR", "a folder"))?,
            },
            Some(_) => {
                return Err(ConfigError::Invalid(
                    "AGENT_FACTORY_ENGINE",
                    "echo, command, openai or openclaw",
                ));
            }
        };
        let data_dir = get("AGENT_FACTORY_DATA_DIR").map(PathBuf::from);
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            token: required("AGENT_FACTORY_WORKER_TOKEN")?.into(),
            worker_id: worker_id.ok_or(ConfigError::Missing("AGENT_FACTORY_WORKER_ID"))?,
            conversation_id: get("OPENCLAW_CONVERSATION_ID"),
            skills: SkillsConfig::from_env(&get, data_dir.as_ref())?,
            workspace_dir: data_dir.as_ref().map(|data_dir| workspace_dir(&get, data_dir)),
            data_dir,
            command_uid: command_uid(&get, rustix::process::geteuid().as_raw())?,
            engine,
            shutdown_limit: duration(&get, "AGENT_FACTORY_SHUTDOWN_MS")?.unwrap_or(DEFAULT_SHUTDOWN),
            bridge: BridgeFallback::from_env(get),
        })
    }
}

/// The workspace folder in the data folder.
fn workspace_dir(get: &impl Fn(&str) -> Option<String>, data_dir: &Path) -> PathBuf {
    let is_plain = |dir: &PathBuf| dir.components().all(|part| !matches!(part, Component::ParentDir));
    let named = get("OPENCLAW_WORKSPACE_DIR").map(PathBuf::from);
    let named = named.filter(|dir| dir != data_dir && dir.starts_with(data_dir) && is_plain(dir));
    named.unwrap_or_else(|| data_dir.join("workspace"))
}

/// The user of the program, if it is not the worker's own user `own`.
fn command_uid(get: &impl Fn(&str) -> Option<String>, own: u32) -> Result<Option<u32>, ConfigError> {
    const NAME: &str = "AGENT_FACTORY_COMMAND_UID";
    let named = get(NAME).map(|uid| uid.parse()).transpose();
    let named = named.map_err(|_| ConfigError::Invalid(NAME, "the number of a user"))?;
    let uid = named.unwrap_or(if own == 0 { UNPRIVILEGED_UID } else { own });
    if own != 0 && uid != own {
        return Err(ConfigError::Invalid(NAME, "the worker's own user, unless the worker runs as root"));
    }
    Ok(Some(uid).filter(|uid| *uid != own))
}

fn openai_config(get: impl Fn(&str) -> Option<String>) -> Result<OpenAiConfig, ConfigError> {
    let base_url = get("OPENAI_BASE_URL").unwrap_or_else(|| DEFAULT_OPENAI_URL.to_owned());
    check_url("OPENAI_BASE_URL", &base_url)?;
    let model = get("OPENCLAW_AGENT_MODEL").or_else(|| get("OPENAI_MODEL"));
    Ok(OpenAiConfig {
        base_url: base_url.trim_end_matches('/').to_owned(),
        model: model_of(&base_url, model.ok_or(ConfigError::Missing("OPENCLAW_AGENT_MODEL"))?),
        api_key: get("OPENAI_API_KEY").map(SecretString::from),
    })
}

/// The model's name in the API. OpenAI's own API has names without the provider; others, such as OpenRouter, have names
/// with one.
fn model_of(base_url: &str, model: String) -> String {
    match model.strip_prefix("openai/") {
        Some(name) if base_url == DEFAULT_OPENAI_URL => name.to_owned(),
        _ => model,
    }
}

/// A variable with a number of milliseconds.
fn duration(
    get: &impl Fn(&str) -> Option<String>,
    name: &'static str,
) -> Result<Option<Duration>, ConfigError> {
    let ms = get(name).map(|ms| ms.parse()).transpose();
    let ms = ms.map_err(|_| ConfigError::Invalid(name, "a whole number of milliseconds"))?;
    Ok(ms.map(Duration::from_millis))
}

fn check_url(name: &'static str, url: &str) -> Result<(), ConfigError> {
    if url.starts_with("http://") || url.starts_with("https://") {
        return Ok(());
    }
    Err(ConfigError::Invalid(name, "an http or https URL"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(changes: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_env(|name| {
            if let Some((_, value)) = changes.iter().find(|(changed, _)| *changed == name) {
                return Some((*value).to_owned());
            }
            match name {
                "AGENT_FACTORY_URL" => Some("http://127.0.0.1:1/".to_owned()),
                "AGENT_FACTORY_WORKER_TOKEN" => Some("token-value".to_owned()),
                "WORKER_ID" => Some("w1".to_owned()),
                _ => None,
            }
        })
    }

    #[test]
    fn the_required_variables_alone_configure_an_echo_worker() {
        let config = read(&[]).unwrap();
        assert_eq!((&*config.url, &*config.worker_id), ("http://127.0.0.1:1", "w1"));
        assert!(matches!(config.engine, EngineConfig::Echo));
        assert_eq!(config.shutdown_limit, Duration::from_secs(240));
    }

    #[test]
    fn an_error_names_the_variable_that_is_missing_blank_or_invalid() {
        let error = |name, value| read(&[(name, value)]).unwrap_err().to_string();
        assert_eq!(error("AGENT_FACTORY_URL", " "), "environment variable AGENT_FACTORY_URL is missing");
        assert!(error("AGENT_FACTORY_URL", "ftp://x").contains("an http or https URL"));
        assert!(error("AGENT_FACTORY_WORKER_TOKEN", "").contains("AGENT_FACTORY_WORKER_TOKEN is missing"));
        assert!(error("AGENT_FACTORY_ENGINE", "magic").contains("echo, command, openai or openclaw"));
        assert!(error("AGENT_FACTORY_ENGINE", "openai").contains("OPENCLAW_AGENT_MODEL is missing"));
        assert!(error("AGENT_FACTORY_ENGINE", "command").contains("AGENT_FACTORY_COMMAND is missing"));
        assert!(error("AGENT_FACTORY_SHUTDOWN_MS", "soon").contains("whole number"));
    }

    #[test]
    fn the_program_of_a_worker_that_runs_as_root_gets_another_user() {
        let uid = |named: Option<&str>, own| command_uid(&|_| named.map(str::to_owned), own);
        assert_eq!(uid(None, 0), Ok(Some(UNPRIVILEGED_UID)));
        assert_eq!(uid(Some("1000"), 0), Ok(Some(1_000)));
        assert_eq!(uid(Some("0"), 0), Ok(None), "an operator may want root");
        assert_eq!(uid(None, 1_000), Ok(None));
        assert!(uid(Some("1001"), 1_000).is_err() && uid(Some("unprivileged"), 0).is_err());
    }

    #[test]
    fn debug_output_of_a_configuration_shows_no_secret() {
        let config = read(&[("OPENCLAW_SERVICE_KEY", "service-key-value")]).unwrap();
        let shown = format!("{config:?}");
        assert!(!shown.contains("token-value") && !shown.contains("service-key-value"), "{shown}");
    }
}
