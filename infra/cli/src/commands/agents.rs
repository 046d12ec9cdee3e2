//! `agents`: profiles and their workspace documents.

mod documents;

use af_api::agents::{AgentBody, AgentRequest, BridgeConfigBody};
use af_api::id::Id;
use af_api::pages::{Page, PageQuery};
use af_domain::ids::SecretRef;
use clap::{Args, Subcommand, ValueEnum};

use crate::api::{Answer, Api, ApiError, segment};
use crate::output;

/// The version of a new profile, when none is given.
const FIRST_VERSION: &str = "1";

/// Agent profiles.
#[derive(Debug, Subcommand)]
pub enum Agents {
    /// List profiles
    ///
    /// Example: agent-factory agents list
    #[command(verbatim_doc_comment)]
    List {
        /// Where the previous page ended
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Show a profile
    ///
    /// Example: agent-factory agents show support
    #[command(verbatim_doc_comment)]
    Show {
        /// The agent's key
        agent: String,
    },
    /// Make a profile, or change the given fields of one
    ///
    /// Example: agent-factory agents set support --display-name Support --enabled
    #[command(verbatim_doc_comment)]
    Set {
        /// The agent's key
        agent: String,
        #[command(flatten)]
        options: ProfileOptions,
    },
    /// Workspace documents: SOUL.md, MEMORY.md and the others
    ///
    /// Example: agent-factory agents documents pull support ./support
    #[command(subcommand, verbatim_doc_comment)]
    Documents(documents::Documents),
    /// Delete a profile; its conversations and documents stay
    ///
    /// Example: agent-factory agents delete support --yes
    #[command(verbatim_doc_comment)]
    Delete {
        /// The agent's key
        agent: String,
    },
}

/// The given fields of a profile. Other fields stay; a new profile is enabled and has version 1
#[derive(Debug, Args)]
pub struct ProfileOptions {
    /// Its version, any text
    #[arg(long)]
    version: Option<String>,
    /// The name that people see
    #[arg(long)]
    display_name: Option<String>,
    /// It takes messages
    #[arg(long, conflicts_with = "disabled")]
    enabled: bool,
    /// It takes no messages: apps get an error, and messages to its bot are dropped
    #[arg(long)]
    disabled: bool,
    /// Name of a secret it uses, in place of those before; may be given several times
    #[arg(long = "secret")]
    secrets: Vec<SecretRef>,
    #[command(flatten)]
    bridge: Bridge,
}

/// How the agent's skills reach the tools of its app. Fields that are not given come from secrets
#[derive(Debug, Args)]
pub struct Bridge {
    /// Whether the agent has a bridge to its app's tools; `off` keeps the values
    #[arg(long)]
    bridge: Option<Switch>,
    /// Where the app takes calls: an https URL
    #[arg(long, requires = "bridge")]
    bridge_base_url: Option<String>,
    /// The caller's name at the app
    #[arg(long, requires = "bridge")]
    bridge_service_id: Option<String>,
    /// The app
    #[arg(long, requires = "bridge")]
    bridge_app_key: Option<String>,
    /// Name of the secret with the service key
    #[arg(long, requires = "bridge")]
    bridge_service_key_ref: Option<SecretRef>,
    /// Name of the secret with the base URLs of several apps
    #[arg(long, requires = "bridge")]
    bridge_url_map_ref: Option<SecretRef>,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// It is used.
    On,
    /// It is not.
    Off,
}

impl ProfileOptions {
    /// The settings of the agent: the given values replace the stored ones.
    fn applied_to(self, stored: AgentRequest) -> AgentRequest {
        let is_switched = self.enabled || self.disabled;
        let secrets: Vec<_> = self.secrets.into_iter().map(Id).collect();
        AgentRequest {
            display_name: self.display_name.or(stored.display_name),
            version: self.version.unwrap_or(stored.version),
            enabled: if is_switched { self.enabled } else { stored.enabled },
            secrets_ref: if secrets.is_empty() { stored.secrets_ref } else { secrets },
            bridge_config: self.bridge.applied_to(stored.bridge_config),
        }
    }
}

/// The settings that an agent has now, or those of a new profile.
fn settings_of(stored: Option<AgentBody>) -> AgentRequest {
    match stored {
        Some(stored) => AgentRequest {
            display_name: stored.display_name,
            version: stored.version,
            enabled: stored.enabled,
            secrets_ref: stored.secrets_ref,
            bridge_config: stored.bridge_config,
        },
        None => AgentRequest {
            display_name: None,
            version: FIRST_VERSION.to_owned(),
            enabled: true,
            secrets_ref: Vec::new(),
            bridge_config: None,
        },
    }
}

impl Bridge {
    /// The bridge of the agent: the given values replace the stored ones.
    fn applied_to(self, stored: Option<BridgeConfigBody>) -> Option<BridgeConfigBody> {
        let Some(switch) = self.bridge else { return stored };
        let stored = stored.unwrap_or_default();
        Some(BridgeConfigBody {
            enabled: switch == Switch::On,
            base_url: self.bridge_base_url.or(stored.base_url),
            service_id: self.bridge_service_id.or(stored.service_id),
            app_key: self.bridge_app_key.or(stored.app_key),
            service_key_secret_ref: self.bridge_service_key_ref.map(Id).or(stored.service_key_secret_ref),
            app_base_url_map_json_secret_ref: self
                .bridge_url_map_ref
                .map(Id)
                .or(stored.app_base_url_map_json_secret_ref),
        })
    }
}

impl Agents {
    pub async fn run(self, api: &Api) -> anyhow::Result<()> {
        let path = |agent: &str| format!("/v1/agents/{}", segment(agent));
        match self {
            Agents::List { cursor } => list(api, cursor).await,
            Agents::Documents(documents) => documents.run(api).await,
            Agents::Show { agent } => {
                let shown: Answer<AgentBody> = api.get(&path(&agent)).await?;
                output::json(&shown.json);
                Ok(())
            }
            Agents::Set { agent, options } => {
                let stored = match api.get::<AgentBody>(&path(&agent)).await {
                    Ok(stored) => Some(stored.body),
                    Err(ApiError::Refused { status: 404, .. }) => None,
                    Err(error) => return Err(error.into()),
                };
                let set: Answer<AgentBody> =
                    api.put(&path(&agent), &options.applied_to(settings_of(stored))).await?;
                output::json(&set.json);
                Ok(())
            }
            Agents::Delete { agent } => {
                api.confirm(&format!("agent {agent}"))?;
                api.delete(&path(&agent)).await?;
                output::line(&format!("agent {agent} is deleted"));
                Ok(())
            }
        }
    }
}

async fn list(api: &Api, cursor: Option<String>) -> anyhow::Result<()> {
    let query = PageQuery { cursor, ..PageQuery::default() };
    let page: Answer<Page<AgentBody>> = api.find("/v1/agents", &query).await?;
    let row = |agent: AgentBody| {
        let bot = output::or_dash(agent.bot.map(|bot| bot.username));
        vec![agent.agent_key, agent.version, agent.enabled.to_string(), bot]
    };
    page.print(|page| output::page(&["agent", "version", "enabled", "bot"], page, row));
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Parser)]
    struct Set {
        #[command(flatten)]
        options: ProfileOptions,
    }

    fn over(known: Option<&Value>, args: &[&str]) -> Value {
        let words = ["set"].iter().chain(args);
        let options = Set::try_parse_from(words).unwrap_or_else(|refused| panic!("{refused}")).options;
        let known = known.map(|known| serde_json::from_value(known.clone()).unwrap());
        serde_json::to_value(options.applied_to(settings_of(known))).unwrap()
    }

    #[test]
    fn an_option_that_is_not_given_leaves_its_field_unchanged() {
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
        let fresh = |enabled: bool| json!({"version": "1", "enabled": enabled, "secretsRef": []});
        assert_eq!(over(None, &[]), fresh(true));
        assert_eq!(over(None, &["--disabled"]), fresh(false));
    }
}
