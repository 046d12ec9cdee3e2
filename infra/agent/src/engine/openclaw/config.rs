//! The configuration of OpenClaw, in layers. Each replaces values of the one before:
//!
//! 1. the file that a restore has brought, with the agent's own changes;
//! 2. the defaults of this engine;
//! 3. the operator's file (`AGENT_FACTORY_OPENCLAW_CONFIG`);
//! 4. the settings without which the worker cannot ask the gateway, and the model.
//!
//! It has no secret: OpenClaw reads the token of the gateway and the key of the model from its environment.

use std::io;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{CONFIG_FILE, STATE_DIR, volume};
use crate::config::OpenClawConfig;

/// Largest file that is read. OpenClaw's own are some kilobytes.
const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// Writes the configuration.
///
/// # Errors
/// When the operator's file is not a JSON object, or when the configuration cannot be written.
pub fn write(
    config: &OpenClawConfig,
    root: &Path,
    workspace: &Path,
    skills_dir: Option<&Path>,
    uid: Option<u32>,
) -> io::Result<()> {
    let operator = match &config.config_file {
        Some(path) => {
            let read = std::fs::read(path).and_then(|file| Ok(serde_json::from_slice(&file)?));
            Some(read.map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?)
        }
        None => None,
    };
    let restored = volume::read(root, &[STATE_DIR], CONFIG_FILE, MAX_CONFIG_BYTES)?;
    let restored = restored.map(|file| serde_json::from_slice(&file)).transpose().unwrap_or_else(|error| {
        tracing::warn!(%error, "the restored configuration of OpenClaw cannot be read and is replaced");
        None
    });
    let merged = merged(restored, operator, required(config, workspace, skills_dir));
    let content = serde_json::to_vec_pretty(&Value::Object(merged))?;
    volume::replace(root, &[STATE_DIR], CONFIG_FILE, &content, uid)
}

fn merged(
    restored: Option<Map<String, Value>>,
    operator: Option<Map<String, Value>>,
    required: Value,
) -> Map<String, Value> {
    let mut config = Value::Object(restored.unwrap_or_default());
    merge(&mut config, defaults());
    merge(&mut config, Value::Object(operator.unwrap_or_default()));
    merge(&mut config, required);
    // A credential in the file would win over the one of this start.
    if let Some(auth) = config.pointer_mut("/gateway/auth").and_then(Value::as_object_mut) {
        auth.remove("token");
        auth.remove("password");
    }
    match config {
        Value::Object(config) => config,
        _ => Map::new(),
    }
}

/// Settings that an operator may change.
fn defaults() -> Value {
    json!({
        // The deployment's push jobs start runs. A heartbeat of the gateway would ask the model again and again.
        "agents": {"defaults": {"heartbeat": {"every": "0m"}}},
        // Its log file would be outside the volume and hold messages. The worker keeps the last lines of its output.
        "logging": {"level": "fatal"},
    })
}

/// The settings that the worker needs.
fn required(config: &OpenClawConfig, workspace: &Path, skills_dir: Option<&Path>) -> Value {
    let mut required = json!({
        "gateway": {
            "mode": "local", "bind": "loopback", "auth": {"mode": "token"}, "controlUi": {"enabled": false},
            "http": {"endpoints": {"chatCompletions": {"enabled": true}}},
        },
        "agents": {"defaults": {"workspace": workspace}},
    });
    if let Some(dir) = skills_dir {
        merge(&mut required, json!({"skills": {"load": {"extraDirs": [dir]}}}));
    }
    if let Some(model) = &config.model {
        merge(&mut required, json!({"agents": {"defaults": {"model": {"primary": model.to_string()}}}}));
        if let Some(base_url) = &config.base_url {
            // A server without a key gets a text in its place, because OpenClaw requires one.
            let key =
                config.key_name.as_ref().map_or_else(|| "none".to_owned(), |name| format!("${{{name}}}"));
            let provider = json!({
                "baseUrl": base_url, "apiKey": key, "api": "openai-completions",
                "models": [{"id": model.name, "name": model.name}],
            });
            let providers = json!({model.provider.clone(): provider});
            merge(&mut required, json!({"models": {"mode": "merge", "providers": providers}}));
        }
    }
    required
}

/// Puts `over` over `base`: objects are merged, and everything else is replaced.
fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (name, value) in over {
                merge(base.entry(name).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::ModelRef;

    fn openclaw() -> OpenClawConfig {
        OpenClawConfig {
            command: vec!["openclaw".to_owned(), "gateway".to_owned()],
            model: Some(ModelRef { provider: "openai".to_owned(), name: "small-1".to_owned() }),
            base_url: Some("http://127.0.0.1:1/v1".to_owned()),
            key_name: Some("OPENAI_API_KEY".to_owned()),
            config_file: None,
            ready_timeout: Duration::from_secs(1),
        }
    }

    fn written(config: &OpenClawConfig, restored: Option<&str>) -> Value {
        let dir = tempfile::tempdir().unwrap();
        if let Some(restored) = restored {
            volume::replace(dir.path(), &[STATE_DIR], CONFIG_FILE, restored.as_bytes(), None).unwrap();
        }
        write(config, dir.path(), Path::new("/w"), None, None).unwrap();
        let path = dir.path().join(STATE_DIR).join(CONFIG_FILE);
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    #[test]
    fn the_operators_settings_win_over_restored_ones_and_the_agents_own_stay() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("operator.json");
        std::fs::write(&file, r#"{"tools": {"deny": ["exec"]}, "gateway": {"mode": "remote"}}"#).unwrap();
        let restored = r#"{"agents": {"defaults": {"model": "old/model", "verbose": true}}, "tools": {"deny": []},
            "gateway": {"auth": {"mode": "none", "token": "old-token"}}, "own": 1}"#;
        let config = written(&OpenClawConfig { config_file: Some(file), ..openclaw() }, Some(restored));
        assert_eq!(config["tools"]["deny"], json!(["exec"]));
        assert_eq!(config["own"], 1);
        let defaults = &config["agents"]["defaults"];
        assert_eq!(
            (&defaults["verbose"], &defaults["model"]["primary"]),
            (&json!(true), &json!("openai/small-1"))
        );
        assert_eq!(config["gateway"]["auth"], json!({"mode": "token"}), "no credential is in the file");
        assert_eq!(config["gateway"]["mode"], "local");
    }

    #[test]
    fn the_key_of_the_model_is_named_and_not_written() {
        let config = written(&openclaw(), None);
        let provider = &config["models"]["providers"]["openai"];
        assert_eq!(provider["apiKey"], "${OPENAI_API_KEY}");
        let config = written(&OpenClawConfig { key_name: None, ..openclaw() }, Some("not JSON"));
        assert_eq!(config["models"]["providers"]["openai"]["apiKey"], "none");
    }

    #[test]
    fn an_operators_file_that_is_not_json_is_named_in_the_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("operator.json");
        std::fs::write(&file, "[]").unwrap();
        let config = OpenClawConfig { config_file: Some(file.clone()), ..openclaw() };
        let error = write(&config, dir.path(), Path::new("/w"), None, None).unwrap_err().to_string();
        assert!(error.contains(&file.display().to_string()), "{error}");
    }
}
