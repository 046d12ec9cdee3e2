//! Agent profiles.

pub mod delete;
pub mod get;
pub mod list;
pub mod put;
pub mod telegram_token;

use af_domain::agent::{AgentProfile, BotName};
use af_domain::bridge::BridgeConfig;
use af_domain::ids::SecretRef;
use af_http::Id;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An agent profile.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentBody {
    agent_key: String,
    /// What people see.
    display_name: Option<String>,
    /// Its version, in its author's words.
    version: String,
    /// Whether it takes messages.
    enabled: bool,
    /// Names of the secrets it uses; with a bot, its token's is always among them.
    secrets_ref: Vec<String>,
    /// Its Telegram bot.
    bot: Option<BotBody>,
    /// How its skills reach the tools of its app.
    bridge_config: Option<BridgeConfigBody>,
    /// When it was last changed, epoch ms.
    updated_at: u64,
}

/// A bot as Telegram names it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BotBody {
    bot_identity: String,
    /// Without `@`.
    username: String,
}

/// An agent's bridge. It names secrets and holds none; what is left out is looked for in the secrets
/// `agent-bridge.<field>.<agentKey>` and `agent-bridge.<field>`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BridgeConfigBody {
    /// Whether the agent has its bridge; the rest is kept while it has not.
    enabled: bool,
    /// Where the app takes calls: an https URL, or http to a loopback host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base_url: Option<String>,
    /// Who calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service_id: Option<String>,
    /// The app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    app_key: Option<String>,
    /// The secret with the key of who calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    service_key_secret_ref: Option<Id<SecretRef>>,
    /// The secret with the base URLs of several apps, a JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    app_base_url_map_json_secret_ref: Option<Id<SecretRef>>,
}

impl From<BridgeConfigBody> for BridgeConfig {
    fn from(body: BridgeConfigBody) -> Self {
        Self {
            enabled: body.enabled,
            base_url: body.base_url,
            service_id: body.service_id,
            app_key: body.app_key,
            service_key_ref: body.service_key_secret_ref.map(|name| name.0),
            base_url_map_ref: body.app_base_url_map_json_secret_ref.map(|name| name.0),
        }
    }
}

impl From<BridgeConfig> for BridgeConfigBody {
    fn from(config: BridgeConfig) -> Self {
        Self {
            enabled: config.enabled,
            base_url: config.base_url,
            service_id: config.service_id,
            app_key: config.app_key,
            service_key_secret_ref: config.service_key_ref.map(Id),
            app_base_url_map_json_secret_ref: config.base_url_map_ref.map(Id),
        }
    }
}

impl From<AgentProfile> for AgentBody {
    fn from(profile: AgentProfile) -> Self {
        Self {
            agent_key: profile.key.to_string(),
            display_name: profile.display_name,
            version: profile.version,
            enabled: profile.enabled,
            secrets_ref: profile.secrets_ref.iter().map(ToString::to_string).collect(),
            bot: profile.bot.map(Into::into),
            bridge_config: profile.bridge.map(Into::into),
            updated_at: profile.updated_at.as_millis(),
        }
    }
}

impl From<BotName> for BotBody {
    fn from(bot: BotName) -> Self {
        Self { bot_identity: bot.identity.to_string(), username: bot.username }
    }
}
