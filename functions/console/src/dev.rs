//! What only `dev` has: a phone that plays Telegram, a clock that can be moved, and a link that signs in once.

use af_domain::time::Millis;
use async_trait::async_trait;
use secrecy::SecretString;

/// The tools of `dev`. No deployment on AWS has them.
#[async_trait]
pub trait DevTools: Send + Sync {
    /// Returns the API key of the link with this token, the first time only.
    fn redeem(&self, token: &str) -> Option<SecretString>;

    /// The name of the bot that the phone writes to; `None` without a demo in the emulator of Telegram.
    fn bot_name(&self) -> Option<String>;

    /// The newest lines of the chat, the oldest first.
    fn chat(&self) -> Vec<ChatLine>;

    /// Sends a text to the bot as the demo user. The error says why Telegram could not deliver it.
    async fn send(&self, text: &str) -> Result<(), String>;

    /// Moves the clock, and returns when everything that became due has run. The error says why the clock cannot be moved.
    async fn advance(&self, by: Millis) -> Result<(), String>;

    /// The conversation of the demo user, and the demo agent.
    fn conversation(&self) -> Option<String>;
}

/// A line of the phone's chat.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ChatLine {
    /// Who wrote it.
    pub speaker: Speaker,
    /// The text.
    pub text: String,
    /// When it was written, epoch ms.
    pub at: u64,
}

/// The writer of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Speaker {
    /// The demo user.
    User,
    /// The bot.
    Bot,
    /// The bot, whose reply is still being written.
    Draft,
}
