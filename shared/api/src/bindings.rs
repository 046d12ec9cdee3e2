//! Bindings: the agent and the conversation of a user.

use af_domain::agent::{Binding, BindingSource, ListedBinding, TelegramIdentity};
use af_domain::ids::{AgentKey, BotIdentity, TelegramUserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::id::Id;

/// A binding of a user.
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
    /// `active`, or `revoked` for a binding that was revoked or replaced.
    #[schema(example = "active")]
    pub status: String,
    /// `manual`, `telegram_pairing`, `api` or `managed_bot`.
    pub source: String,
    /// The bot through which the user writes.
    pub bot_identity: Option<String>,
    /// The user's Telegram user id.
    pub telegram_user_id: Option<String>,
    /// The chat that replies go to.
    pub telegram_chat_id: Option<String>,
    /// When the binding was made, epoch ms.
    pub bound_at: u64,
    /// When the binding was revoked or replaced, epoch ms.
    pub revoked_at: Option<u64>,
}

/// The Telegram user or chat whose binding is looked up.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BindingQuery {
    /// The bot.
    #[param(value_type = String)]
    pub bot_identity: Id<BotIdentity>,
    /// The Telegram user.
    #[param(value_type = Option<String>)]
    pub telegram_user_id: Option<Id<TelegramUserId>>,
    /// The private chat with the bot.
    #[param(value_type = Option<String>)]
    pub telegram_chat_id: Option<Id<TelegramUserId>>,
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

impl From<BindingQuery> for TelegramIdentity {
    fn from(query: BindingQuery) -> Self {
        let (user, chat) = (query.telegram_user_id, query.telegram_chat_id);
        Self { bot: query.bot_identity.0, user: user.map(|id| id.0), chat: chat.map(|id| id.0) }
    }
}

impl From<ListedBinding> for BindingBody {
    fn from(listed: ListedBinding) -> Self {
        let active = Self::from(listed.binding);
        match listed.revoked_at {
            Some(at) => Self { status: "revoked".to_owned(), revoked_at: Some(at.as_millis()), ..active },
            None => active,
        }
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
            revoked_at: None,
        }
    }
}
