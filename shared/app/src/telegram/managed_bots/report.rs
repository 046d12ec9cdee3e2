//! Handles the update `managed_bot`, without any call to Telegram.

use af_domain::agent::Bot;
use af_domain::ids::BotUsername;
use af_domain::managed_bot::{CreatedBot, Decision, decide};
use af_store::conversation::Commit;

use crate::telegram::handled::Handled;
use crate::{App, AppError, Result};

/// Times that an update is decided again because another call has changed the same items meanwhile.
const MAX_TRIES: usize = 5;

/// Stores what `update` says about a bot that `manager` manages.
pub(crate) async fn reported(app: &App, manager: &Bot, update: u64, created: &CreatedBot) -> Result<Handled> {
    let username = BotUsername::parse(created.username.to_ascii_lowercase()).ok();
    let managed = |duplicate| Handled::ManagedBot { bot: created.identity.clone(), duplicate };
    for _ in 0..MAX_TRIES {
        let now = app.now();
        let known = app.store.known_bot(&created.identity, username.as_ref(), now).await?;
        let (bot, link) = (known.bot.as_ref(), known.link.as_ref());
        let stored = match (decide(&manager.identity, created, update, bot, link, now), bot, link) {
            (Decision::Connect(new), _, Some(link)) => {
                app.store.use_bot_link_if_pending(link, &new, now).await?
            }
            (Decision::FetchAgain(after), Some(before), _) => {
                app.store.change_managed_bot_if_unchanged(before, &after, now).await?
            }
            (Decision::Repeated, ..) => return Ok(managed(true)),
            (Decision::Expired, ..) => return Ok(Handled::ignored("bot_link_expired")),
            (Decision::Failed, ..) => return Ok(Handled::ignored("bot_not_connected")),
            (Decision::NoLink | Decision::Connect(_) | Decision::FetchAgain(_), ..) => {
                return Ok(Handled::ignored("no_bot_link"));
            }
        };
        if let Commit::Done = stored {
            return Ok(managed(false));
        }
    }
    Err(AppError::Overtaken("an update about a managed bot"))
}
