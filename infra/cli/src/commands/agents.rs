//! `agents`: profiles.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::api::{Api, segment, text};
use crate::output;

/// Agent profiles.
#[derive(Debug, Subcommand)]
pub enum Agents {
    /// List profiles
    List {
        /// Where the previous page ended
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Show a profile
    Show {
        /// The agent's key
        agent: String,
    },
    /// Make or change a profile
    Set {
        /// The agent's key
        agent: String,
        /// Its version, in your words
        #[arg(long, default_value = "1")]
        version: String,
        /// What people see
        #[arg(long)]
        display_name: Option<String>,
        /// It takes no messages
        #[arg(long)]
        disabled: bool,
        /// Name of a secret it uses; may be given several times
        #[arg(long = "secret")]
        secrets: Vec<String>,
        #[command(flatten)]
        bridge: Bridge,
    },
    /// Remove a profile; its conversations stay
    Delete {
        /// The agent's key
        agent: String,
    },
}

/// How the agent's skills reach the tools of its app. What is not said is looked for in secrets
#[derive(Debug, Args)]
pub struct Bridge {
    /// Whether the agent has a bridge to its app's tools; `off` keeps the values
    #[arg(long)]
    bridge: Option<Switch>,
    /// Where the app takes calls: an https URL
    #[arg(long, requires = "bridge")]
    bridge_base_url: Option<String>,
    /// Who calls the app
    #[arg(long, requires = "bridge")]
    bridge_service_id: Option<String>,
    /// The app
    #[arg(long, requires = "bridge")]
    bridge_app_key: Option<String>,
    /// Name of the secret with the service key
    #[arg(long, requires = "bridge")]
    bridge_service_key_ref: Option<String>,
    /// Name of the secret with the base URLs of several apps
    #[arg(long, requires = "bridge")]
    bridge_url_map_ref: Option<String>,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// It is used.
    On,
    /// It is not.
    Off,
}

impl Bridge {
    /// `bridgeConfig`, if one was asked for.
    fn config(self) -> Option<Value> {
        let mut config = json!({"enabled": self.bridge? == Switch::On});
        for (field, value) in [
            ("baseUrl", self.bridge_base_url),
            ("serviceId", self.bridge_service_id),
            ("appKey", self.bridge_app_key),
            ("serviceKeySecretRef", self.bridge_service_key_ref),
            ("appBaseUrlMapJsonSecretRef", self.bridge_url_map_ref),
        ] {
            if let Some(value) = value {
                config[field] = value.into();
            }
        }
        Some(config)
    }
}

impl Agents {
    pub async fn run(self, api: &Api) -> anyhow::Result<()> {
        let path = |agent: &str| format!("/v1/agents/{}", segment(agent));
        match self {
            Agents::List { cursor } => {
                let cursor = cursor.map(|c| format!("?cursor={}", segment(&c))).unwrap_or_default();
                let page = api.get(&format!("/v1/agents{cursor}")).await?;
                if api.json {
                    output::json(&page);
                    return Ok(());
                }
                let row = |a: &Value| {
                    [&a["agentKey"], &a["version"], &a["enabled"], &a["bot"]["username"]].map(text).to_vec()
                };
                let rows = page["items"].as_array().into_iter().flatten().map(row).collect();
                output::table(&["agent", "version", "enabled", "bot"], rows);
                if let Some(next) = page["nextCursor"].as_str() {
                    output::line(&format!("more: --cursor {next}"));
                }
            }
            Agents::Show { agent } => output::json(&api.get(&path(&agent)).await?),
            Agents::Set { agent, version, display_name, disabled, secrets, bridge } => {
                let mut body = json!({"version": version, "enabled": !disabled, "secretsRef": secrets});
                if let Some(name) = display_name {
                    body["displayName"] = name.into();
                }
                if let Some(config) = bridge.config() {
                    body["bridgeConfig"] = config;
                }
                output::json(&api.put(&path(&agent), &body).await?);
            }
            Agents::Delete { agent } => {
                api.delete(&path(&agent)).await?;
                output::line(&format!("agent {agent} is gone"));
            }
        }
        Ok(())
    }
}
