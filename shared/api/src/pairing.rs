//! Pairing codes, which connect a user with a person on Telegram.

use af_domain::ids::{AgentKey, ConsumerUserId};
use af_domain::pairing::{Pairing, PairingStatus};
use af_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::Id;

/// How long a new code is valid.
#[serde_with::skip_serializing_none]
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PairingRequest {
    /// The validity in milliseconds: 1 minute to 24 hours, by default 15 minutes.
    #[schema(minimum = 60_000, maximum = 86_400_000, example = 900_000)]
    pub ttl_ms: Option<u64>,
}

/// The user and the agent of a new code, and how long it is valid.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PairingCodeRequest {
    /// The user that the person is bound to.
    #[schema(value_type = String)]
    pub consumer_user_id: Id<ConsumerUserId>,
    /// The agent that the user talks to.
    #[schema(value_type = String)]
    pub agent_key: Id<AgentKey>,
    /// The validity in milliseconds: 1 minute to 24 hours, by default 15 minutes.
    #[schema(minimum = 60_000, maximum = 86_400_000, example = 900_000)]
    pub ttl_ms: Option<u64>,
}

/// A pairing code.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PairingBody {
    /// The code that the person sends to the bot after `/start`.
    #[schema(example = "7KQ2MBX4RWPN")]
    pub code: String,
    /// The user that the person is bound to.
    pub consumer_user_id: String,
    /// The agent that the user talks to.
    pub agent_key: String,
    /// The bot that accepts the code.
    pub bot_identity: String,
    /// `pending`, `used` or `expired`.
    #[schema(example = "pending")]
    pub status: String,
    /// When the code was made, epoch ms.
    pub created_at: u64,
    /// When the code expires, epoch ms.
    pub expires_at: u64,
    /// When the code was used, epoch ms.
    pub used_at: Option<u64>,
    /// The Telegram user who used the code.
    pub telegram_user_id: Option<String>,
    /// The chat in which the code was used.
    pub telegram_chat_id: Option<String>,
}

/// A new pairing code.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewPairing {
    /// The code.
    pub pairing: PairingBody,
    /// The link that opens Telegram and sends the code to the bot.
    #[schema(example = "https://t.me/support_bot?start=7KQ2MBX4RWPN")]
    pub deep_link: String,
}

impl PairingBody {
    /// The code as it is at `now`.
    pub fn at(pairing: Pairing, now: Timestamp) -> Self {
        let status: PairingStatus = pairing.status(now);
        let (used_at, user, chat) = match pairing.used {
            Some(used) => {
                (Some(used.at.as_millis()), Some(used.user.to_string()), Some(used.chat.to_string()))
            }
            None => (None, None, None),
        };
        Self {
            code: pairing.code.to_string(),
            consumer_user_id: pairing.user.to_string(),
            agent_key: pairing.agent.to_string(),
            bot_identity: pairing.bot.to_string(),
            status: status.as_str().to_owned(),
            created_at: pairing.created_at.as_millis(),
            expires_at: pairing.expires_at.as_millis(),
            used_at,
            telegram_user_id: user,
            telegram_chat_id: chat,
        }
    }
}
