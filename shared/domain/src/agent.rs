//! Agent profiles, their bots, and the users who talk to them.

use crate::bridge::BridgeConfig;
use crate::ids::{
    AgentKey, BindingId, BotIdentity, ConsumerUserId, ConversationId, SecretRef, TelegramUserId,
};
use crate::named_enum;
use crate::time::{Millis, Timestamp};

/// How long the previous webhook secret is accepted after a rotation. Updates that are already in transit
/// carry it.
pub const PREVIOUS_WEBHOOK_SECRET: Millis = Millis::from_secs(600);

/// An agent profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentProfile {
    /// The agent key.
    pub key: AgentKey,
    /// The name shown to people.
    pub display_name: Option<String>,
    /// The version, as its author writes it.
    pub version: String,
    /// Whether the agent accepts messages.
    pub enabled: bool,
    /// Names of the secrets that the agent uses.
    pub secrets_ref: Vec<SecretRef>,
    /// The Telegram bot of the agent.
    pub bot: Option<BotName>,
    /// How the agent reaches the tools of its consumer app.
    pub bridge: Option<BridgeConfig>,
    /// When the profile was last changed.
    pub updated_at: Timestamp,
}

/// A bot as Telegram names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BotName {
    /// The numeric bot id.
    pub identity: BotIdentity,
    /// The user name of the bot.
    pub username: String,
}

/// The secret that contains the bot token of an agent.
pub fn bot_token_ref(agent: &AgentKey) -> SecretRef {
    SecretRef::parse(format!("telegram.botToken.{agent}"))
        .expect("an agent key is made of secret ref characters")
}

/// A bot, and the data that authenticates its webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bot {
    /// The numeric bot id.
    pub identity: BotIdentity,
    /// The user name of the bot.
    pub username: String,
    /// The agent that the bot belongs to.
    pub agent: AgentKey,
    /// SHA-256 of the webhook's secret token, once the webhook is configured.
    pub secret_hash: Option<[u8; 32]>,
    /// The previous secret, and until when it is accepted.
    pub previous_secret: Option<([u8; 32], Timestamp)>,
    /// When the webhook was last confirmed to point to this deployment's URL.
    pub ready_at: Option<Timestamp>,
}

named_enum! {
    /// The origin of a binding.
    pub enum BindingSource {
        /// An operator.
        Manual = "manual",
        /// A pairing code used in Telegram.
        TelegramPairing = "telegram_pairing",
        /// The consumer app.
        Api = "api",
        /// A bot that was made for the user.
        ManagedBot = "managed_bot",
    }
}

/// An identity binding of a consumer user. A user has at most one active binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The id. No other binding has it.
    pub id: BindingId,
    /// The user.
    pub user: ConsumerUserId,
    /// The agent that the user talks to.
    pub agent: AgentKey,
    /// The conversation of the user. It stays the same when the user pairs again.
    pub conversation: ConversationId,
    /// The Telegram account of the user.
    pub telegram: Option<TelegramIdentity>,
    /// The origin of the binding.
    pub source: BindingSource,
    /// When the binding was made.
    pub bound_at: Timestamp,
}

/// A binding in the list of a user's bindings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedBinding {
    /// The binding.
    pub binding: Binding,
    /// When it was revoked or replaced; `None` for the active binding.
    pub revoked_at: Option<Timestamp>,
}

/// A person on Telegram, as one bot sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelegramIdentity {
    /// The bot.
    pub bot: BotIdentity,
    /// The Telegram user id.
    pub user: Option<TelegramUserId>,
    /// The private chat of the person with the bot.
    pub chat: Option<TelegramUserId>,
}

/// The conversation of a user with an agent. Returns `InvalidId` if both names together are too long for a
/// conversation id.
pub fn conversation_of(
    agent: &AgentKey,
    user: &ConsumerUserId,
) -> Result<ConversationId, crate::ids::InvalidId> {
    ConversationId::parse(format!("user-agent:{agent}:{user}"))
}

/// The user whose conversation with `agent` this is; `None` for other conversations.
pub fn user_of(conversation: &ConversationId, agent: &AgentKey) -> Option<ConsumerUserId> {
    let (of_agent, user) = conversation.as_str().strip_prefix("user-agent:")?.split_once(':')?;
    (of_agent == agent.as_str()).then(|| ConsumerUserId::parse(user).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_conversation_names_its_user() {
        let (agent, user) = (AgentKey::parse("support").unwrap(), ConsumerUserId::parse("a:b c").unwrap());
        let conversation = conversation_of(&agent, &user).unwrap();
        assert_eq!(user_of(&conversation, &agent), Some(user));
        assert_eq!(user_of(&conversation, &AgentKey::parse("sales").unwrap()), None);
        assert_eq!(user_of(&ConversationId::parse("telegram:7:42").unwrap(), &agent), None);
    }
}
