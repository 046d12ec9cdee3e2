//! The notices with which the system answers `/start`.

use af_domain::agent::AgentProfile;
use af_domain::ids::{AgentKey, BotIdentity, ConsumerUserId};
use af_domain::notice::{NoticeKind, NoticeTexts};
use af_domain::outbox::Chat;
use af_store::outbox::NewEntry;

use crate::outbox::{notice, text_of};
use crate::{App, Result};

/// A private chat with a bot, to which a notice is written, and the texts of the bot. A text that is switched off makes no
/// notice.
#[derive(Debug, Clone)]
pub(crate) struct PrivateChat {
    /// The bot.
    pub bot: BotIdentity,
    /// The id of the chat.
    pub id: i64,
    /// The agent of the bot.
    pub agent: AgentKey,
    /// The texts.
    pub texts: NoticeTexts,
}

impl PrivateChat {
    fn notice(&self, app: &App, user: Option<ConsumerUserId>, text: &str) -> NewEntry {
        notice(app, Chat { bot: self.bot.clone(), id: self.id }, None, user, text)
    }

    /// The person is connected with this user of the agent.
    pub fn paired(&self, app: &App, profile: &AgentProfile, user: &ConsumerUserId) -> Option<NewEntry> {
        let text = self.texts.text(NoticeKind::Paired, profile.display_name.as_deref())?;
        Some(self.notice(app, Some(user.clone()), &text))
    }

    /// The code is not valid. `locks` says that the person must wait now.
    pub async fn wrong_code(&self, app: &App, locks: bool) -> Result<Option<NewEntry>> {
        let kind = if locks { NoticeKind::TooManyWrongCodes } else { NoticeKind::WrongCode };
        let text = text_of(app, &self.texts, kind, &self.agent).await?;
        Ok(text.map(|text| self.notice(app, None, &text)))
    }

    /// The person, who is known as this user or unknown, has greeted the bot.
    pub async fn greeting(&self, app: &App, user: Option<ConsumerUserId>) -> Result<Option<NewEntry>> {
        let kind = if user.is_some() { NoticeKind::Greeting } else { NoticeKind::UnknownGreeting };
        let text = text_of(app, &self.texts, kind, &self.agent).await?;
        Ok(text.map(|text| self.notice(app, user, &text)))
    }
}
