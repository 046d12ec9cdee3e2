//! Telegram ingress: converts an update to a message in the right conversation, without any call to Telegram.

use af_domain::agent::Bot;
use af_domain::ids::BotIdentity;
use af_domain::refusal::{Code, Refusal};
use af_runtime::metric::Metric;
use af_telegram::update::{Ingress, read};

use crate::telegram::bots::is_webhook_secret;
pub use crate::telegram::handled::{Change, Handled, Rejection};
use crate::telegram::{commands, managed_bots, messages, route, stop};
use crate::{App, Result};

/// Handles the update in `body`, which arrived at the webhook of `bot` with `secret` in its header.
///
/// # Errors
/// Returns the same 401 for an unknown bot and a wrong secret. After an internal error, Telegram sends the
/// update again.
pub async fn handle(app: &App, bot: &str, secret: Option<&str>, body: &[u8]) -> Result<Handled> {
    let Some(bot) = genuine_bot(app, bot, secret.unwrap_or_default()).await? else {
        Metric::WebhookRejected.count();
        tracing::warn!("webhook call with an unknown bot or a wrong secret");
        return Err(Refusal::new(Code::Unauthorized, "unknown bot or wrong secret token").into());
    };
    let handled = meaning(app, &bot, read(&bot.identity, body)).await?;
    if let Handled::Enqueued { duplicate: true, .. } | Handled::ManagedBot { duplicate: true, .. } = &handled
    {
        Metric::WebhookDuplicate.count();
    }
    let reason = match &handled {
        Handled::Ignored { reason } => Some(reason.as_str()),
        Handled::Rejected(rejection) => Some(rejection.as_str()),
        Handled::Enqueued { .. }
        | Handled::Changed { .. }
        | Handled::Command(_)
        | Handled::ManagedBot { .. } => None,
    };
    if let Some(reason) = reason {
        Metric::WebhookIgnored.count();
        tracing::info!(bot = %bot.identity, reason, "an update became no message");
    }
    Ok(handled)
}

async fn meaning(app: &App, bot: &Bot, ingress: Ingress) -> Result<Handled> {
    match ingress {
        Ingress::Message(message) => messages::accept(app, bot, message).await,
        Ingress::Ignored { reason } => Ok(Handled::ignored(reason)),
        Ingress::Migrated { from, to } => {
            route::continue_in(app, bot, from, to).await?;
            Ok(Handled::ignored("group_migrated"))
        }
        // Commands are for the system and are not sent to an agent.
        Ingress::PairingStart { code, origin } => {
            Ok(Handled::Command(commands::start_with_code(app, bot, Some(&code), &origin).await?))
        }
        Ingress::BareStart { malformed: true, origin } => {
            Ok(Handled::Command(commands::start_with_code(app, bot, None, &origin).await?))
        }
        Ingress::BareStart { malformed: false, origin } => {
            let ignored = Handled::ignored("start_command");
            Ok(commands::start(app, bot, &origin).await?.map_or(ignored, Handled::Command))
        }
        Ingress::ManagedBot { update_id, bot: created } => {
            managed_bots::reported(app, bot, update_id, &created).await
        }
        Ingress::Stop { origin, by } => stop::stop(app, bot, &origin, &by).await,
    }
}

/// Returns the bot if `secret` is that of its webhook. A cached bot is read again before a secret is refused,
/// because the secret may have been rotated since.
async fn genuine_bot(app: &App, identity: &str, secret: &str) -> Result<Option<Bot>> {
    // An invalid bot id costs the same read as a valid one.
    let identity = BotIdentity::parse(identity).or_else(|_| BotIdentity::parse(i64::MAX.to_string()))?;
    let now = app.now();
    if let Some(known) = app.bots.get(&identity, now)
        && is_webhook_secret(Some(&known), secret, now)
    {
        return Ok(Some(known));
    }
    let bot = app.store.bot(&identity).await?;
    let genuine = is_webhook_secret(bot.as_ref(), secret, now);
    if let Some(bot) = &bot {
        app.bots.put(identity, bot.clone(), now);
    }
    Ok(bot.filter(|_| genuine))
}
