//! The manager bot: the bot of the agent that the ingress config names.

use af_domain::agent::{BotName, bot_token_ref};
use af_domain::ids::{AgentKey, BotIdentity};
use af_domain::refusal::{Code, Refusal};
use af_telegram::{Bot, MANAGED_BOT, TelegramError};

use crate::agents::profiles;
use crate::settings::policies;
use crate::telegram::bots::{telegram, telegram_error};
use crate::{App, AppError, Result};

/// The manager bot and its client.
pub(super) struct Manager {
    /// The agent that has the bot.
    pub agent: AgentKey,
    /// The bot.
    pub name: BotName,
    /// The client of the bot.
    pub api: Bot,
}

const NO_MANAGER: &str = "no manager bot is configured: give an agent a bot that may manage bots, and name the agent as \
    managerAgentKey with PUT /v1/config/ingress";

fn not_configured(detail: impl Into<String>) -> AppError {
    Refusal::new(Code::NotConfigured, detail).into()
}

/// Returns the manager bot, or 409 with what it lacks. Telegram is not called.
pub(super) async fn manager(app: &App) -> Result<Manager> {
    let named = async || Ok::<_, AppError>(policies::settings(app).await?.ingress.manager.clone());
    let mut agent = named().await?;
    if agent.is_none() {
        // An operator may have named the agent since the config was read.
        app.settings.forget(&());
        agent = named().await?;
    }
    let agent = agent.ok_or_else(|| not_configured(NO_MANAGER))?;
    let profile = profiles::now(app, &agent).await?;
    let Some(name) = profile.and_then(|profile| profile.bot) else {
        let detail = format!(
            "the manager agent {agent} has no bot; import its token with PUT /v1/agents/{agent}/telegram-token"
        );
        return Err(not_configured(detail));
    };
    let token = app.secrets.get(&bot_token_ref(&agent), app.now()).await?;
    let Some(token) = token else {
        let detail = format!(
            "the token of the manager bot @{} is missing; import it with PUT /v1/agents/{agent}/telegram-token",
            name.username
        );
        return Err(not_configured(detail));
    };
    Ok(Manager { agent, name, api: telegram(app)?.bot(&token) })
}

/// Returns why no link can be made at the moment; `None` if the manager bot is configured. Telegram is not called.
pub(crate) async fn missing(app: &App) -> Result<Option<String>> {
    match manager(app).await {
        Ok(_) => Ok(None),
        Err(AppError::Refused(refusal)) => Ok(Some(refusal.detail)),
        Err(error) => Err(error),
    }
}

impl Manager {
    /// Checks that Telegram lets the bot manage bots, and sends the updates about them to this deployment. Returns 409 with
    /// the fix, or 503 if Telegram cannot be reached.
    pub async fn check(&self, app: &App) -> Result<()> {
        let bot = app.store.bot_now(&self.name.identity).await?;
        let agent = &self.agent;
        let set_webhook = format!("POST /v1/telegram/webhooks {{\"agentKey\": \"{agent}\"}}");
        if bot.is_none_or(|bot| bot.ready_at.is_none()) {
            let detail = format!(
                "Telegram does not send the updates of the manager bot to this deployment; configure its webhook with \
                 {set_webhook}"
            );
            return Err(not_configured(detail));
        }
        let (me, info) = tokio::join!(self.api.get_me(), self.api.get_webhook_info());
        let me = me.map_err(|error| self.failed(app, error))?;
        let info = info.map_err(|error| self.failed(app, error))?;
        let username = &self.name.username;
        if !me.can_manage_bots {
            let detail = format!(
                "Telegram does not let @{username} manage bots; turn on Bot Management Mode for it in BotFather"
            );
            return Err(not_configured(detail));
        }
        let is_limited = !info.url.is_empty() && !info.allowed_updates.is_empty();
        if is_limited && !info.allowed_updates.iter().any(|kind| kind == MANAGED_BOT) {
            let detail = format!(
                "the webhook of @{username} was set by an earlier version and gets no updates about managed bots; set it \
                 again with {set_webhook}"
            );
            return Err(not_configured(detail));
        }
        Ok(())
    }

    /// Converts a failed call of the manager bot. A refused token is read again by the next call.
    pub fn failed(&self, app: &App, error: TelegramError) -> AppError {
        if let TelegramError::Unauthorized = error {
            app.secrets.forget(&bot_token_ref(&self.agent));
            let detail = format!(
                "Telegram refuses the token of the manager bot @{}; import a new one with PUT \
                 /v1/agents/{}/telegram-token",
                self.name.username, self.agent
            );
            return not_configured(detail);
        }
        telegram_error(error)
    }
}

/// The id of a bot, as Telegram expects it.
pub(super) fn number(bot: &BotIdentity) -> i64 {
    bot.as_str().parse().expect("a bot identity is a positive number of 64 bits")
}
