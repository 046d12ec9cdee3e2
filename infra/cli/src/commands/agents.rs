//! `agents`: profiles.

use clap::Subcommand;
use serde_json::json;

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
    },
    /// Remove a profile; its conversations stay
    Delete {
        /// The agent's key
        agent: String,
    },
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
                let row = |a: &serde_json::Value| {
                    [&a["agentKey"], &a["version"], &a["enabled"], &a["bot"]["username"]].map(text).to_vec()
                };
                let rows = page["items"].as_array().into_iter().flatten().map(row).collect();
                output::table(&["agent", "version", "enabled", "bot"], rows);
                if let Some(next) = page["nextCursor"].as_str() {
                    output::line(&format!("more: --cursor {next}"));
                }
            }
            Agents::Show { agent } => output::json(&api.get(&path(&agent)).await?),
            Agents::Set { agent, version, display_name, disabled, secrets } => {
                let mut body = json!({"version": version, "enabled": !disabled, "secretsRef": secrets});
                if let Some(name) = display_name {
                    body["displayName"] = name.into();
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
