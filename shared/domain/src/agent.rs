//! Agent profiles, their bots, and who talks to them.

use crate::bridge::BridgeConfig;
use crate::ids::{AgentKey, BotIdentity, ConsumerUserId, ConversationId, SecretRef};
use crate::time::{Millis, Timestamp};

/// How long the previous webhook secret stays good after a rotation: updates already on their way carry it.
pub const PREVIOUS_WEBHOOK_SECRET: Millis = Millis::from_secs(600);

/// An agent profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentProfile {
    /// Its key.
    pub key: AgentKey,
    /// What people see.
    pub display_name: Option<String>,
    /// Its version, in its author's words.
    pub version: String,
    /// Whether it takes messages.
    pub enabled: bool,
    /// Names of the secrets it uses.
    pub secrets_ref: Vec<SecretRef>,
    /// Its Telegram bot.
    pub bot: Option<BotName>,
    /// How it reaches its app's tools.
    pub bridge: Option<BridgeConfig>,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A bot as Telegram names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BotName {
    /// Its numeric id.
    pub identity: BotIdentity,
    /// Its user name.
    pub username: String,
}

/// The secret ref under which an agent's bot token is kept.
///
/// # Panics
/// Never: an agent key is shorter than a secret ref may be, and of the same characters.
pub fn bot_token_ref(agent: &AgentKey) -> SecretRef {
    SecretRef::parse(format!("telegram.botToken.{agent}"))
        .expect("an agent key is made of secret ref characters")
}

/// A bot and how its webhook is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bot {
    /// Its numeric id.
    pub identity: BotIdentity,
    /// Its user name.
    pub username: String,
    /// The agent it belongs to.
    pub agent: AgentKey,
    /// SHA-256 of the webhook's secret token, once the webhook is configured.
    pub secret_hash: Option<[u8; 32]>,
    /// The one before, and until when it is accepted.
    pub previous_secret: Option<([u8; 32], Timestamp)>,
    /// When the webhook was last seen to be set to our URL.
    pub ready_at: Option<Timestamp>,
}

/// Where a binding came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindingSource {
    /// An operator.
    Manual,
    /// A pairing code used in Telegram.
    TelegramPairing,
    /// The consumer app.
    Api,
}

impl BindingSource {
    /// The source as it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            BindingSource::Manual => "manual",
            BindingSource::TelegramPairing => "telegram_pairing",
            BindingSource::Api => "api",
        }
    }

    /// Reads a stored source.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Manual, Self::TelegramPairing, Self::Api].into_iter().find(|s| s.as_str() == text)
    }
}

/// The active identity binding of a consumer user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The user.
    pub user: ConsumerUserId,
    /// The agent they talk to.
    pub agent: AgentKey,
    /// Their conversation; the same for good, whatever is paired.
    pub conversation: ConversationId,
    /// Where they are on Telegram.
    pub telegram: Option<TelegramIdentity>,
    /// Where the binding came from.
    pub source: BindingSource,
    /// Since when it holds.
    pub bound_at: Timestamp,
}

/// A person on Telegram, as one bot sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelegramIdentity {
    /// Which bot.
    pub bot: BotIdentity,
    /// Their user id.
    pub user: Option<String>,
    /// Their private chat with the bot.
    pub chat: Option<String>,
}

/// The conversation of a user with an agent.
///
/// # Errors
/// `InvalidId` when both names together are too long for a conversation id.
pub fn conversation_of(
    agent: &AgentKey,
    user: &ConsumerUserId,
) -> Result<ConversationId, crate::ids::InvalidId> {
    ConversationId::parse(format!("user-agent:{agent}:{user}"))
}
