//! Telegram: the answer to an update, and the webhook of a bot.

use af_domain::ids::AgentKey;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::Id;

/// The answer to an update from Telegram.
#[serde_with::skip_serializing_none]
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateAnswer {
    /// `true`.
    pub ok: bool,
    /// The message that the update became.
    pub message_id: Option<String>,
    /// Whether the message, or the update about a managed bot, had been accepted before.
    pub duplicate: Option<bool>,
    /// How the update changed a message that waits: `edit`, or `album` when it added a file.
    pub changed: Option<String>,
    /// Why the sender may not write now: `unbound_user` or `rate_limited`.
    pub rejected: Option<String>,
    /// Why the update became no message.
    pub ignored: Option<String>,
    /// What `/start` with a code has done.
    pub pairing: Option<PairingAnswer>,
    /// Whether the person who sent `/start` without a code has an active binding.
    pub known: Option<bool>,
    /// The managed bot that the update is about. It is connected, or its token is fetched again.
    pub managed_bot: Option<String>,
    /// How many messages `/stop`, or the stop button of a draft, has cancelled.
    pub cancelled: Option<u64>,
}

/// What `/start` with a code has done.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PairingAnswer {
    /// `used` if the person is bound now, or `failed`.
    pub status: String,
    /// The user that the person is bound to.
    pub consumer_user_id: Option<String>,
    /// The agent that the person is bound to.
    pub agent_key: Option<String>,
    /// `invalid_code`, `too_many_wrong_codes` or `private_chat_only`.
    pub error: Option<String>,
}

/// The agent whose bot gets its webhook.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebhookRequest {
    /// The agent.
    #[schema(value_type = String)]
    pub agent_key: Id<AgentKey>,
}

/// The webhook as Telegram sees it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookAnswer {
    /// Whether Telegram sends updates to this deployment.
    pub ok: bool,
    /// The URL that was set.
    pub webhook_url: String,
    /// The URL that Telegram has.
    pub current_url: String,
    /// The bot's numeric id.
    pub bot_identity: String,
    /// Whether both URLs are the same.
    pub is_ready: bool,
    /// Updates that Telegram has not delivered yet.
    pub pending_update_count: u64,
    /// The last failed delivery, in Telegram's words.
    pub last_error_message: Option<String>,
    /// When that delivery failed, epoch ms.
    pub last_error_date: Option<u64>,
}
