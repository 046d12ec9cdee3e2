//! Connects the bots that people have created: token, webhook and binding.

use std::collections::BTreeSet;
use std::time::Duration;

use af_domain::agent::{BindingSource, TelegramIdentity};
use af_domain::ids::BotIdentity;
use af_domain::managed_bot::{ManagedBot, ManagedBotState};
use af_domain::refusal::{Code, Refusal};
use af_runtime::metric::Metric;
use af_store::conversation::Commit;
use af_store::managed_bot::due_managed_bot;
use futures::StreamExt;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use super::manager::{manager, number};
use crate::agents::bindings::{has_bot, new_binding, replaced_by};
use crate::agents::profiles;
use crate::error::with_causes;
use crate::queue::counters::StreamRecord;
use crate::telegram::bots::{configure_webhook, current_url, set_token};
use crate::{App, AppError, Result};

/// Most bots that are connected at the same time.
const MAX_AT_ONCE: usize = 8;
/// How long a call may begin to work on bots. The other bots are due at the next scheduled run.
const BEGINS_FOR: Duration = Duration::from_secs(30);
/// How long one bot may take. Telegram answers a call in well under a second. Steps that are not done are repeated later.
const BUDGET: Duration = Duration::from_secs(20);
/// Times that the end of the work is decided again because the bot or a binding has changed meanwhile.
const MAX_TRIES: usize = 5;

/// Connects the bots that a batch of the stream has made due. A failure of one bot does not affect the others, and fails no
/// batch: the schedule tries again.
pub async fn connect_changed(app: &App, records: &[StreamRecord]) {
    let now = app.now();
    let due: BTreeSet<BotIdentity> = records
        .iter()
        .filter_map(|record| due_managed_bot(record.dynamodb.new_image.as_ref(), now))
        .collect();
    connect_due(app, due.into_iter().collect()).await;
}

/// Connects bots that are due.
pub async fn connect_due(app: &App, due: Vec<BotIdentity>) {
    if app.telegram.is_none() {
        return;
    }
    let began = Instant::now();
    let each = |bot: BotIdentity| async move {
        if began.elapsed() >= BEGINS_FOR {
            return;
        }
        if let Err(error) = Box::pin(work_on(app, &bot)).await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, %bot, "a managed bot was not connected; the schedule tries again");
        }
    };
    futures::stream::iter(due).for_each_concurrent(MAX_AT_ONCE, each).await;
}

/// Works on one bot, unless another call does.
async fn work_on(app: &App, identity: &BotIdentity) -> Result<()> {
    let now = app.now();
    let Some(bot) = app.store.managed_bot(identity, now).await?.filter(|bot| bot.is_due(now)) else {
        return Ok(());
    };
    let Some(begun) = begin(app, &bot).await? else { return Ok(()) };
    let done = async {
        import(app, &begun, fetched_token(app, &begun).await?).await?;
        end(app, &begun).await
    };
    match tokio::time::timeout(BUDGET, done).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => failed(app, &begun, error).await,
        Err(_) => failed(app, &begun, unavailable("Telegram did not answer in time")).await,
    }
}

/// Notes that this call works on `bot`; `None` if another call has changed the bot.
pub(super) async fn begin(app: &App, bot: &ManagedBot) -> Result<Option<ManagedBot>> {
    let now = app.now();
    let begun = bot.worked_on_by(&app.entropy.ulid(now), now);
    Ok(match app.store.change_managed_bot_if_unchanged(bot, &begun, now).await? {
        Commit::Done => Some(begun),
        Commit::Stale => None,
    })
}

fn unavailable(detail: &str) -> AppError {
    Refusal::new(Code::Unavailable, detail).into()
}

async fn fetched_token(app: &App, bot: &ManagedBot) -> Result<SecretString> {
    let manager = manager(app).await?;
    if manager.name.identity != bot.manager {
        let detail = format!("the manager bot {} is no longer configured", bot.manager);
        return Err(Refusal::new(Code::NotConfigured, detail).into());
    }
    let token = manager.api.get_managed_bot_token(number(&bot.identity)).await;
    token.map_err(|error| manager.failed(app, error))
}

/// Gives the agent the bot with this token, and sets its webhook. The bot of the agent is not replaced by a bot that is
/// already connected: then an operator has put another one in its place.
pub(super) async fn import(app: &App, bot: &ManagedBot, token: SecretString) -> Result<()> {
    let of_bot = token.expose_secret().split_once(':').is_some_and(|(id, _)| id == bot.identity.as_str());
    if !of_bot {
        return Err(Refusal::new(Code::Conflict, "Telegram has returned the token of another bot").into());
    }
    let is_connected = bot.state == ManagedBotState::Connected;
    let profile = profiles::get(app, &bot.agent).await?;
    if is_connected && !has_bot(&profile, &bot.identity) {
        let detail = format!("agent {} has another bot, or none, by now", bot.agent);
        return Err(Refusal::new(Code::BotConflict, detail).into());
    }
    let replace = bot.replace && !is_connected;
    set_token(app, &bot.agent, token, replace).await?;
    // The URL of the deployment may have changed since the link was made.
    let url = if is_connected { current_url(app, &bot.agent).await? } else { None };
    let url = url.as_ref().unwrap_or(&bot.public_url);
    let webhook = configure_webhook(app, &bot.agent, url).await?;
    if webhook.is_ready { Ok(()) } else { Err(unavailable("Telegram has another webhook for the bot")) }
}

/// Ends the work on a bot that has its token and webhook. A bot that was not connected before is bound to its user.
pub(super) async fn end(app: &App, begun: &ManagedBot) -> Result<()> {
    for _ in 0..MAX_TRIES {
        let now = app.now();
        let Some(current) = still_ours(app, begun).await? else { return Ok(()) };
        let after = current.ended(ManagedBotState::Connected, begun, now);
        let ended = if current.state == ManagedBotState::Connected {
            app.store.change_managed_bot_if_unchanged(&current, &after, now).await?
        } else {
            profiles::takes_messages(&begun.agent, profiles::now(app, &begun.agent).await?)?;
            let person = TelegramIdentity {
                bot: begun.identity.clone(),
                user: Some(begun.creator.clone()),
                chat: Some(begun.creator.clone()),
            };
            let source = BindingSource::ManagedBot;
            let binding = new_binding(app, &begun.user, &begun.agent, Some(person), source)?;
            let replaced = replaced_by(app, &binding).await?;
            app.store.connect_managed_bot_if_unchanged(&current, &after, &binding, &replaced).await?
        };
        if let Commit::Done = ended {
            let (bot, agent) = (&begun.identity, &begun.agent);
            tracing::info!(%bot, %agent, "a managed bot is connected");
            return Ok(());
        }
    }
    Err(AppError::Overtaken("connecting a managed bot"))
}

/// Reads the bot again; `None` if another call works on it by now.
async fn still_ours(app: &App, begun: &ManagedBot) -> Result<Option<ManagedBot>> {
    let current = app.store.managed_bot(&begun.identity, app.now()).await?;
    Ok(current.filter(|current| current.worker == begun.worker))
}

/// Lets a bot wait for another try, or ends it if no try can succeed.
pub(super) async fn failed(app: &App, begun: &ManagedBot, error: AppError) -> Result<()> {
    let Some(current) = still_ours(app, begun).await? else { return Ok(()) };
    let now = app.now();
    let after = match &error {
        AppError::Refused(refusal) if is_final(refusal) => {
            let state = ManagedBotState::Failed { reason: refusal.detail.clone() };
            current.ended(state, begun, now)
        }
        AppError::Refused(refusal) => current.waiting(&refusal.detail, refusal.retry_after, now),
        AppError::Telegram(error) => current.waiting(&error.to_string(), None, now),
        _ => current.waiting("an internal failure", None, now),
    };
    let (bot, agent) = (&begun.identity, &begun.agent);
    let reason = with_causes(&error);
    match &after.state {
        ManagedBotState::Failed { .. } => {
            Metric::ManagedBotFailed.count();
            tracing::warn!(%bot, %agent, reason, "a managed bot cannot be connected");
        }
        _ => tracing::warn!(%bot, %agent, reason, "a managed bot waits for another try"),
    }
    app.store.change_managed_bot_if_unchanged(&current, &after, now).await?;
    Ok(())
}

/// Whether a repetition would be refused again.
fn is_final(refusal: &Refusal) -> bool {
    matches!(refusal.code, Code::BotConflict | Code::NotFound | Code::Conflict)
}
