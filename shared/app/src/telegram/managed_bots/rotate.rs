//! Replaces the token of a managed bot.

use af_domain::agent::BotName;
use af_domain::ids::AgentKey;
use af_domain::managed_bot::ManagedBotState;
use af_domain::refusal::{Code, Refusal};
use af_domain::time::Millis;

use super::connect::{begin, end, failed, import};
use super::manager::{manager, number};
use crate::agents::profiles;
use crate::{App, AppError, Result};

/// How long to wait while another call works on the bot.
const RETRY_AFTER: Millis = Millis::from_secs(30);

/// Replaces the token of the bot of `agent` and stores the new one. The bot is due before Telegram is called, so a call that
/// dies after the replacement leaves a token that effects fetches.
///
/// # Errors
/// Returns 404 for an unknown agent, 409 if its bot is not managed or another call works on it, and 503 if Telegram cannot
/// be reached.
pub async fn rotate(app: &App, agent: &AgentKey) -> Result<BotName> {
    let profile = profiles::get(app, agent).await?;
    let not_managed = || {
        let detail = format!(
            "agent {agent} has no managed bot; replace the token of its bot in BotFather and import it with PUT \
             /v1/agents/{agent}/telegram-token"
        );
        AppError::from(Refusal::new(Code::NotConfigured, detail))
    };
    let name = profile.bot.ok_or_else(not_managed)?;
    let bot = app.store.managed_bot(&name.identity, app.now()).await?;
    let bot = bot.filter(|bot| bot.agent == *agent && bot.state == ManagedBotState::Connected);
    let bot = bot.ok_or_else(not_managed)?;
    let manager = manager(app).await?;
    if manager.name.identity != bot.manager {
        return Err(not_managed());
    }
    let begun = if bot.is_worked_on(app.now()) { None } else { begin(app, &bot).await? };
    let Some(begun) = begun else {
        let detail = "the token of this bot is being fetched at the moment; try again in half a minute";
        return Err(Refusal::new(Code::Conflict, detail).after(RETRY_AFTER).into());
    };
    let replaced = async {
        let token = manager.api.replace_managed_bot_token(number(&bot.identity)).await;
        import(app, &begun, token.map_err(|error| manager.failed(app, error))?).await?;
        end(app, &begun).await
    };
    match replaced.await {
        Ok(()) => Ok(name),
        // The token may have been replaced, so it is fetched again.
        Err(AppError::Refused(refusal)) => {
            failed(app, &begun, refusal.clone().into()).await?;
            Err(refusal.into())
        }
        Err(error) => Err(error),
    }
}
