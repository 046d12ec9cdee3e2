//! A user's binding: which agent and conversation they talk to.

pub mod delete;
pub mod get;
pub mod put;

use af_domain::agent::Binding;
use serde::Serialize;
use utoipa::ToSchema;

/// The active binding of a user.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BindingBody {
    consumer_user_id: String,
    agent_key: String,
    /// The same for good, whatever is paired.
    conversation_id: String,
    /// `active`.
    status: &'static str,
    /// `manual`, `telegram_pairing` or `api`.
    source: &'static str,
    /// The bot through which the user writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    bot_identity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    telegram_user_id: Option<String>,
    /// The chat that answers go to.
    #[serde(skip_serializing_if = "Option::is_none")]
    telegram_chat_id: Option<String>,
    /// Since when it holds, epoch ms.
    bound_at: u64,
}

impl From<Binding> for BindingBody {
    fn from(binding: Binding) -> Self {
        let (bot, user, chat) = match binding.telegram {
            Some(telegram) => (Some(telegram.bot.to_string()), telegram.user, telegram.chat),
            None => (None, None, None),
        };
        Self {
            consumer_user_id: binding.user.to_string(),
            agent_key: binding.agent.to_string(),
            conversation_id: binding.conversation.to_string(),
            status: "active",
            source: binding.source.as_str(),
            bot_identity: bot,
            telegram_user_id: user,
            telegram_chat_id: chat,
            bound_at: binding.bound_at.as_millis(),
        }
    }
}
