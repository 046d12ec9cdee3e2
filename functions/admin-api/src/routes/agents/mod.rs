//! Agent profiles.

pub mod delete;
pub mod get;
pub mod list;
pub mod put;
pub mod telegram_token;

use af_domain::agent::{AgentProfile, BotName};
use serde::Serialize;

/// An agent profile.
#[derive(Debug, Serialize)]
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
    /// When it was last changed, epoch ms.
    updated_at: u64,
}

/// A bot as Telegram names it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BotBody {
    bot_identity: String,
    /// Without `@`.
    username: String,
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
            updated_at: profile.updated_at.as_millis(),
        }
    }
}

impl From<BotName> for BotBody {
    fn from(bot: BotName) -> Self {
        Self { bot_identity: bot.identity.to_string(), username: bot.username }
    }
}
