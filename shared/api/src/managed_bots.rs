//! Managed bots: a person creates a bot with a link of the deployment's manager bot.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What the link suggests, and how long it is valid.
#[serde_with::skip_serializing_none]
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ManagedBotRequest {
    /// The display name that the link suggests for the bot; by default the display name of the agent.
    #[schema(min_length = 1, max_length = 64, example = "Support")]
    pub name: Option<String>,
    /// The validity in milliseconds: 1 minute to 24 hours, by default 15 minutes.
    #[schema(minimum = 60_000, maximum = 86_400_000, example = 900_000)]
    pub ttl_ms: Option<u64>,
    /// Whether the bot may replace the agent's present bot.
    #[serde(default)]
    pub replace: bool,
}

/// A link for a managed bot, and the bot that was created with it.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ManagedBotBody {
    /// The user that the person is bound to.
    pub consumer_user_id: String,
    /// The agent that gets the bot.
    pub agent_key: String,
    /// `pending` until the person creates the bot, then `connecting`, and `connected` or `failed`; `expired` if the link was
    /// not used in time or was replaced by a newer one.
    #[schema(example = "pending")]
    pub status: String,
    /// The link, while it is pending.
    #[schema(example = "https://t.me/newbot/factory_bot/support_k7w2mq9rtx_bot?name=Support")]
    pub link: Option<String>,
    /// The user name that the link suggests. The bot must have it, because it names the user and the agent.
    #[schema(example = "support_k7w2mq9rtx_bot")]
    pub suggested_username: String,
    /// When the link was made, epoch ms.
    pub created_at: u64,
    /// When the link expires, epoch ms.
    pub expires_at: u64,
    /// The numeric id of the bot that was created.
    pub bot_identity: Option<String>,
    /// The user name of that bot, without `@`.
    #[schema(example = "support_k7w2mq9rtx_bot")]
    pub bot_username: Option<String>,
    /// The person who has created the bot.
    pub telegram_user_id: Option<String>,
    /// Why the bot cannot be connected.
    #[schema(example = "agent support has another bot; send replace: true to put this one in its place")]
    pub reason: Option<String>,
}
