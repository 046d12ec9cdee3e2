//! What the console of `dev` has and no other: the phone of the demo user, the clock, and the link that signs in once.

use std::sync::{Mutex, OnceLock, PoisonError};

use af_console::{ChatLine, DevTools, Speaker};
use af_domain::agent::conversation_of;
use af_domain::ids::{AgentKey, ConsumerUserId};
use af_domain::time::Millis;
use af_emulator_telegram::TelegramEmulator;
use af_runtime::clock::Clock;
use async_trait::async_trait;
use secrecy::SecretString;

use crate::control::ClockControl;
use crate::seed::Demo;

/// The newest lines of the chat that the phone shows.
const MAX_LINES: usize = 60;

/// The tools of one `dev`.
pub(crate) struct ConsoleTools {
    pub telegram: TelegramEmulator,
    pub clock: ClockControl,
    /// The demo, which is created after the functions run.
    pub demo: OnceLock<Demo>,
    /// The token of the link and the key that it signs in with, until the link is used.
    pub link: Mutex<Option<Link>>,
}

/// A link that works once.
pub(crate) struct Link {
    pub token: String,
    pub key: SecretString,
}

/// The private chat of the demo user with the bot of the emulator.
struct DemoChat {
    bot: i64,
    user: i64,
}

impl ConsoleTools {
    /// The link from `url`, until it is used.
    pub fn link_from(&self, url: &str) -> Option<String> {
        let link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        link.as_ref().map(|link| format!("{url}/console/enter?token={}", link.token))
    }

    /// `None` without a demo, and for the demo of a real bot, which has no chat here.
    fn demo_chat(&self) -> Option<DemoChat> {
        let demo = self.demo.get()?;
        let user = demo.chat_id.as_ref()?.parse().ok()?;
        Some(DemoChat { bot: demo.bot_identity.parse().ok()?, user })
    }
}

#[async_trait]
impl DevTools for ConsoleTools {
    fn redeem(&self, token: &str) -> Option<SecretString> {
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        // The comparison may take any time: a guess is one of 2^192, and the first right one ends the link.
        link.take_if(|link| link.token == token).map(|link| link.key)
    }

    fn bot_name(&self) -> Option<String> {
        let demo = self.demo.get()?;
        demo.chat_id.as_ref().map(|_| demo.bot_username.clone())
    }

    fn chat(&self) -> Vec<ChatLine> {
        let Some(DemoChat { bot, user }) = self.demo_chat() else { return Vec::new() };
        let said = self.telegram.said(bot, user, MAX_LINES).into_iter();
        let said = said.map(|m| (m.message_id, ChatLine { speaker: Speaker::User, text: m.text, at: m.at }));
        let sent = self.telegram.outbox(Some(bot), Some(user), MAX_LINES).into_iter();
        let sent = sent.map(|m| (m.message_id, ChatLine { speaker: Speaker::Bot, text: m.text, at: m.at }));
        let mut lines: Vec<_> = said.chain(sent).collect();
        lines.sort_by_key(|(message_id, _)| *message_id);
        let surplus = lines.len().saturating_sub(MAX_LINES);
        let now = self.clock.clock.now().as_millis();
        let drafts = self.telegram.drafts().into_iter();
        let drafts =
            drafts.filter(|d| d.chat_id == user && d.bot_identity == bot.to_string() && d.shown_until > now);
        let drafts = drafts.map(|d| ChatLine { speaker: Speaker::Draft, text: d.text, at: d.at });
        lines.drain(..surplus);
        lines.into_iter().map(|(_, line)| line).chain(drafts).collect()
    }

    async fn send(&self, text: &str) -> Result<(), String> {
        let Some(DemoChat { bot, user }) = self.demo_chat() else {
            return Err("this dev has no demo agent in the emulator of Telegram".to_owned());
        };
        match self.telegram.say(bot, user, text).await {
            Ok(None) => Ok(()),
            Ok(Some(reason)) => Err(format!("the bot does not have the message yet: {reason}")),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn advance(&self, by: Millis) -> Result<(), String> {
        self.clock.advance(by).await.map(drop).map_err(|refusal| refusal.detail)
    }

    fn conversation(&self) -> Option<String> {
        let demo = self.demo.get()?;
        let agent = AgentKey::parse(demo.agent_key.as_str()).ok()?;
        let user = ConsumerUserId::parse(demo.consumer_user_id.as_str()).ok()?;
        conversation_of(&agent, &user).ok().map(|id| id.to_string())
    }
}
