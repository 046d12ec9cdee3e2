//! Bindings: the agent and the conversation of a user.

use af_domain::agent::{Binding, BindingSource, TelegramIdentity};
use af_domain::ids::{AgentKey, BotIdentity, TelegramUserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::Id;

/// The active binding of a user.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BindingBody {
    /// The user.
    pub consumer_user_id: String,
    /// The agent.
    pub agent_key: String,
    /// The conversation. A later binding of the same user and agent has the same one.
    pub conversation_id: String,
    /// `active`.
    pub status: String,
    /// `manual`, `telegram_pairing` or `api`.
    pub source: String,
    /// The bot through which the user writes.
    pub bot_identity: Option<String>,
    /// The user's Telegram user id.
    pub telegram_user_id: Option<String>,
    /// The chat that replies go to.
    pub telegram_chat_id: Option<String>,
    /// When the binding was made, epoch ms.
    pub bound_at: u64,
}

/// The agent to bind a user to, and the user's identity on Telegram.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BindingRequest {
    /// The agent.
    #[schema(value_type = String)]
    pub agent_key: Id<AgentKey>,
    /// The user on Telegram.
    pub telegram: Option<TelegramRequest>,
    /// Where the binding comes from.
    #[serde(default)]
    #[schema(inline)]
    pub source: Source,
}

/// A person on Telegram, as one bot sees them.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TelegramRequest {
    /// The agent's own bot.
    #[schema(value_type = String)]
    pub bot_identity: Id<BotIdentity>,
    /// The person's user id.
    #[schema(value_type = Option<String>)]
    pub user_id: Option<Id<TelegramUserId>>,
    /// The person's private chat with the bot. A group is refused.
    #[schema(value_type = Option<String>)]
    pub chat_id: Option<Id<TelegramUserId>>,
}

/// Where a caller may say that a binding comes from. Callers may not name pairing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A person made it by hand.
    Manual,
    /// The consumer app made it.
    #[default]
    Api,
}

impl From<Source> for BindingSource {
    fn from(source: Source) -> Self {
        match source {
            Source::Manual => Self::Manual,
            Source::Api => Self::Api,
        }
    }
}

impl From<TelegramRequest> for TelegramIdentity {
    fn from(telegram: TelegramRequest) -> Self {
        let TelegramRequest { bot_identity: Id(bot), user_id, chat_id } = telegram;
        Self { bot, user: user_id.map(|id| id.0), chat: chat_id.map(|id| id.0) }
    }
}

impl From<Binding> for BindingBody {
    fn from(binding: Binding) -> Self {
        let (bot, user, chat) = match binding.telegram {
            Some(TelegramIdentity { bot, user, chat }) => {
                (Some(bot.to_string()), user.map(|id| id.to_string()), chat.map(|id| id.to_string()))
            }
            None => (None, None, None),
        };
        Self {
            consumer_user_id: binding.user.to_string(),
            agent_key: binding.agent.to_string(),
            conversation_id: binding.conversation.to_string(),
            status: "active".to_owned(),
            source: binding.source.as_str().to_owned(),
            bot_identity: bot,
            telegram_user_id: user,
            telegram_chat_id: chat,
            bound_at: binding.bound_at.as_millis(),
        }
    }
}
