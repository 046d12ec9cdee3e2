//! Agent profiles, their bots and their bridges.

use af_domain::agent::{AgentProfile, BotName};
use af_domain::bridge::BridgeConfig;
use af_domain::ids::SecretRef;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::Id;
use crate::secret_text::SecretText;

/// An agent profile.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentBody {
    /// The agent's key.
    pub agent_key: String,
    /// The name that people see.
    pub display_name: Option<String>,
    /// The version, in the author's words.
    pub version: String,
    /// Whether the agent takes messages.
    pub enabled: bool,
    /// Names of the secrets that the agent uses. An agent with a bot always has the bot's token among them.
    #[schema(value_type = Vec<String>)]
    pub secrets_ref: Vec<Id<SecretRef>>,
    /// The agent's Telegram bot.
    pub bot: Option<BotBody>,
    /// How the agent's skills reach the tools of its app.
    pub bridge_config: Option<BridgeConfigBody>,
    /// When the profile was last changed, epoch ms.
    pub updated_at: u64,
}

/// A bot, as Telegram names it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BotBody {
    /// The bot's numeric id.
    pub bot_identity: String,
    /// The bot's user name, without `@`.
    pub username: String,
}

/// An agent's bridge. It names secrets and holds none. A field that is left out is read from the secret
/// `agent-bridge.<field>.<agentKey>`, else from `agent-bridge.<field>`.
#[serde_with::skip_serializing_none]
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BridgeConfigBody {
    /// Whether the agent uses its bridge. The other fields are kept while it does not.
    pub enabled: bool,
    /// Where the app takes calls: an https URL, or http to a loopback host.
    pub base_url: Option<String>,
    /// The caller's name at the app.
    pub service_id: Option<String>,
    /// The app.
    pub app_key: Option<String>,
    /// The secret with the caller's key.
    #[schema(value_type = Option<String>)]
    pub service_key_secret_ref: Option<Id<SecretRef>>,
    /// The secret with the base URLs of several apps, a JSON object.
    #[schema(value_type = Option<String>)]
    pub app_base_url_map_json_secret_ref: Option<Id<SecretRef>>,
}

/// The settings of an agent. A field that is left out returns to its default.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AgentRequest {
    /// The name that people see.
    pub display_name: Option<String>,
    /// The version, in the author's words.
    pub version: String,
    /// Whether the agent takes messages.
    #[serde(default = "enabled_by_default")]
    pub enabled: bool,
    /// Names of the secrets that the agent uses.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub secrets_ref: Vec<Id<SecretRef>>,
    /// How the agent's skills reach the tools of its app.
    pub bridge_config: Option<BridgeConfigBody>,
}

const fn enabled_by_default() -> bool {
    true
}

/// The token of an agent's bot.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TelegramTokenRequest {
    /// The token, as BotFather gave it.
    #[schema(value_type = String, example = "7000000001:AAExampleTokenOfABotThatDoesNotExist")]
    pub plaintext_value: SecretText,
    /// Whether this bot may replace the agent's present bot.
    #[serde(default)]
    pub replace: bool,
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
            secrets_ref: profile.secrets_ref.into_iter().map(Id).collect(),
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
