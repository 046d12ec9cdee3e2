//! A bot that the receiving bot manages.

use af_domain::ids::{BotIdentity, TelegramUserId};
use af_domain::managed_bot::CreatedBot;

use super::wire::ManagedBotUpdated;

/// Returns the bot of an update; `None` if the update does not name the bot and its owner.
pub(super) fn reported_bot(reported: &ManagedBotUpdated) -> Option<CreatedBot> {
    let (user, bot) = (reported.user.as_ref()?, reported.bot.as_ref()?);
    Some(CreatedBot {
        identity: BotIdentity::parse(bot.id?.to_string()).ok()?,
        username: bot.username.clone().unwrap_or_default(),
        creator: TelegramUserId::parse(user.id?.to_string()).ok()?,
    })
}
