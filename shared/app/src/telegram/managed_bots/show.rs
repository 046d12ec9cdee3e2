//! Shows how far a managed bot is.

use af_domain::ids::{AgentKey, ConsumerUserId};
use af_domain::managed_bot::{BotLink, BotLinkStatus, ManagedBot};
use af_domain::refusal::Refusal;

use crate::{App, Result};

/// A link, and the bot that was created with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownLink {
    /// The link.
    pub link: BotLink,
    /// The bot.
    pub bot: Option<ManagedBot>,
    /// How far the bot is.
    pub status: BotLinkStatus,
}

/// Returns the newest link of a user and an agent, or 404 if there is none. An expired link is kept for a day.
pub async fn newest(app: &App, user: &ConsumerUserId, agent: &AgentKey) -> Result<ShownLink> {
    let found = find(app, user, agent).await?;
    Ok(found.ok_or_else(|| Refusal::not_found(format!("link for a bot of user {user} and agent {agent}")))?)
}

/// Returns the newest link of a user and an agent, if there is one.
pub(crate) async fn find(app: &App, user: &ConsumerUserId, agent: &AgentKey) -> Result<Option<ShownLink>> {
    let now = app.now();
    let Some(link) = app.store.newest_bot_link(user, agent, now).await? else { return Ok(None) };
    let bot = match &link.bot {
        Some(bot) => app.store.managed_bot(bot, now).await?,
        None => None,
    };
    let status = link.status(bot.as_ref(), now);
    Ok(Some(ShownLink { link, bot, status }))
}
