//! Onboarding: the steps that connect a user with an agent on Telegram, and what an agent still needs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How far the onboarding of a user with an agent is.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OnboardingBody {
    /// The agent.
    pub agent_key: String,
    /// The user name of the agent's bot, without `@`.
    #[schema(example = "support_bot")]
    pub telegram_username: Option<String>,
    /// The bot's numeric id.
    pub bot_identity: Option<String>,
    /// The secret with the bot's token.
    #[schema(example = "telegram.botToken.support")]
    pub token_secret_ref: String,
    /// Whether the agent has a bot, and its token is stored.
    pub token_imported: bool,
    /// Whether Telegram sends the updates of the bot to this deployment.
    pub webhook_ready: bool,
    /// The newest pairing code.
    #[schema(example = "7KQ2MBX4RWPN")]
    pub pairing_code: Option<String>,
    /// The status of that code: `pending`, `used` or `expired`.
    #[schema(example = "pending")]
    pub pairing_status: Option<String>,
    /// The link that sends the code to the bot, while the code is pending.
    #[schema(example = "https://t.me/support_bot?start=7KQ2MBX4RWPN")]
    pub pairing_deep_link: Option<String>,
    /// The status of the newest link for a managed bot: `pending`, `connecting`, `connected`, `failed` or `expired`.
    #[schema(example = "pending")]
    pub managed_bot_status: Option<String>,
    /// The link with which the person creates a bot, while it is pending.
    #[schema(example = "https://t.me/newbot/factory_bot/support_k7w2mq9rtx_bot?name=Support")]
    pub managed_bot_link: Option<String>,
    /// `configure_agent`, `import_token`, `create_bot`, `connect_bot`, `configure_webhook`, `create_pairing`,
    /// `complete_pairing` or `ready`.
    #[schema(example = "complete_pairing")]
    pub next_action: String,
    /// How to do the next action.
    #[schema(example = "The person opens pairingDeepLink, or sends /start and the code to the bot.")]
    pub next_step: String,
}

/// What an agent has and needs.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentReadiness {
    /// Names of secrets that the profile lists and that have no value.
    pub missing_secrets: Vec<String>,
    /// Whether the agent has a bot, and its token is stored.
    pub has_telegram_token: bool,
    /// Whether Telegram sends the updates of the bot to this deployment.
    pub webhook_ready: bool,
    /// Whether the deployment knows where workers run.
    pub provider_config_present: bool,
    /// Whether the deployment has a message config.
    pub message_config_present: bool,
    /// What is missing, each with its fix. Empty when the agent can answer people on Telegram.
    pub issues: Vec<String>,
}
