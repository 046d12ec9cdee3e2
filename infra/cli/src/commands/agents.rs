//! `agents`: profiles.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::api::{Api, ApiError, segment, text};
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
    /// Make a profile, or change what is given of one
    Set {
        /// The agent's key
        agent: String,
        #[command(flatten)]
        given: Given,
    },
    /// Remove a profile; its conversations stay
    Delete {
        /// The agent's key
        agent: String,
    },
}

/// What is given of a profile. The rest stays as it is; a new profile is enabled, and its version is 1
#[derive(Debug, Args)]
pub struct Given {
    /// Its version, in your words
    #[arg(long)]
    version: Option<String>,
    /// What people see
    #[arg(long)]
    display_name: Option<String>,
    /// It takes messages
    #[arg(long, conflicts_with = "disabled")]
    enabled: bool,
    /// It takes no messages: apps are told so, and what people write to its bot is dropped
    #[arg(long)]
    disabled: bool,
    /// Name of a secret it uses, in place of those before; may be given several times
    #[arg(long = "secret")]
    secrets: Vec<String>,
    #[command(flatten)]
    bridge: Bridge,
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

impl Given {
    /// The profile as it shall be: what is there, if anything, with what is given in its place.
    fn over(self, known: Option<&Value>) -> Value {
        let mut profile = json!({"version": "1"});
        for field in ["version", "displayName", "enabled", "secretsRef", "bridgeConfig"] {
            if let Some(value) = known.map(|known| &known[field]).filter(|value| !value.is_null()) {
                profile[field] = value.clone();
            }
        }
        for (field, value) in [("version", self.version), ("displayName", self.display_name)] {
            if let Some(value) = value {
                profile[field] = value.into();
            }
        }
        if self.enabled || self.disabled {
            profile["enabled"] = self.enabled.into();
        }
        if !self.secrets.is_empty() {
            profile["secretsRef"] = self.secrets.into();
        }
        self.bridge.put_on(&mut profile);
        profile
    }
}

impl Bridge {
    /// Puts what is given on the `bridgeConfig` of `profile`, if anything is.
    fn put_on(self, profile: &mut Value) {
        let Some(switch) = self.bridge else { return };
        let config = &mut profile["bridgeConfig"];
        config["enabled"] = (switch == Switch::On).into();
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
            Agents::Set { agent, given } => {
                let known = match api.get(&path(&agent)).await {
                    Ok(known) => Some(known),
                    Err(ApiError::Refused { status: 404, .. }) => None,
                    Err(error) => return Err(error.into()),
                };
                output::json(&api.put(&path(&agent), &given.over(known.as_ref())).await?);
            }
            Agents::Delete { agent } => {
                api.delete(&path(&agent)).await?;
                output::line(&format!("agent {agent} is gone"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Set {
        #[command(flatten)]
        given: Given,
    }

    fn over(known: Option<&Value>, args: &[&str]) -> Value {
        let words = ["set"].iter().chain(args);
        Set::try_parse_from(words).unwrap_or_else(|refused| panic!("{refused}")).given.over(known)
    }

    #[test]
    fn what_is_not_given_of_a_profile_stays() {
        let bridge = json!({"enabled": true, "baseUrl": "https://crm.example", "serviceId": "crm"});
        let known = json!({
            "agentKey": "support", "displayName": "Support", "version": "7", "enabled": false, "secretsRef": ["a"],
            "bot": {"botIdentity": "1", "username": "b"}, "bridgeConfig": bridge, "updatedAt": 5,
        });
        let stays = json!({
            "displayName": "Support", "version": "7", "enabled": false, "secretsRef": ["a"], "bridgeConfig": bridge,
        });
        assert_eq!(over(Some(&known), &[]), stays);
        let changed = over(Some(&known), &["--enabled", "--secret", "b", "--bridge", "off"]);
        assert_eq!((&changed["enabled"], &changed["secretsRef"]), (&json!(true), &json!(["b"])));
        let off = json!({"enabled": false, "baseUrl": "https://crm.example", "serviceId": "crm"});
        assert_eq!(changed["bridgeConfig"], off, "`off` keeps the values");
        assert_eq!((&changed["displayName"], &changed["version"]), (&json!("Support"), &json!("7")));
    }

    #[test]
    fn a_new_profile_has_a_version_and_nothing_that_was_not_given() {
        assert_eq!(over(None, &[]), json!({"version": "1"}));
        assert_eq!(over(None, &["--disabled"]), json!({"version": "1", "enabled": false}));
    }
}
