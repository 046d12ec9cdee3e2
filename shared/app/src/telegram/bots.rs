//! Bots: the token of an agent, and the webhook for its updates.

use af_api::telegram::WebhookAnswer;
use af_domain::agent::{Bot, BotName, PREVIOUS_WEBHOOK_SECRET, bot_token_ref};
use af_domain::ids::{AgentKey, BotIdentity};
use af_domain::refusal::{Code, Refusal};
use af_domain::time::{Millis, Timestamp};
use af_store::agent::BotAssigned;
use af_telegram::{ALLOWED_UPDATES, BotApi, SetWebhook, TelegramError, is_token};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::agents::profiles::{self, AgentSettings, with_ref};
use crate::{App, AppError};

/// How long to wait before a retry if Telegram does not answer.
const RETRY_AFTER: Millis = Millis::from_secs(10);
/// Most connections of Telegram to a webhook: enough for a busy bot, and few enough to avoid overload.
const MAX_CONNECTIONS: u8 = 40;

/// Assigns a bot to an agent: checks the token with Telegram and stores it as a secret.
///
/// # Errors
/// Returns a refusal if the agent does not exist, Telegram does not know the token, the bot belongs to
/// another agent, or the agent has another bot and `replace` is not set.
pub async fn set_token(
    app: &App,
    agent: &AgentKey,
    token: SecretString,
    replace: bool,
) -> Result<BotName, AppError> {
    let profile = profiles::get(app, agent).await?;
    if !is_token(token.expose_secret()) {
        return Err(Refusal::field(
            "/plaintextValue",
            "this is not a bot token; BotFather issues tokens of the form <digits>:<letters>",
        )
        .into());
    }
    let me = match telegram(app)?.bot(&token).get_me().await {
        Err(TelegramError::Unauthorized) => {
            return Err(Refusal::field("/plaintextValue", "Telegram does not know this bot token").into());
        }
        other => other.map_err(telegram_error)?,
    };
    let identity = BotIdentity::parse(me.id.to_string())?;
    let name = BotName { identity, username: me.username.unwrap_or(me.first_name) };
    let previous = profile.bot.as_ref().map(|b| b.identity.clone());
    if previous.as_ref().is_some_and(|p| *p != name.identity) && !replace {
        let detail =
            format!("agent {agent} has another bot; send replace: true to put this one in its place");
        return Err(Refusal::new(Code::BotConflict, detail).into());
    }
    match app.store.assign_bot_if_unclaimed(agent, &name, previous.as_ref(), app.now()).await? {
        BotAssigned::Done => {}
        BotAssigned::BelongsTo(other) => {
            let detail = format!("bot {} belongs to agent {other}", name.identity);
            return Err(Refusal::new(Code::BotConflict, detail).into());
        }
        BotAssigned::NoSuchAgent => return Err(Refusal::not_found(format!("agent {agent}")).into()),
    }
    let token_ref = bot_token_ref(agent);
    app.secrets.put(&token_ref, token, app.now()).await?;
    let mut secrets_ref = profile.secrets_ref;
    with_ref(&mut secrets_ref, token_ref);
    let settings = AgentSettings {
        display_name: profile.display_name,
        version: profile.version,
        enabled: profile.enabled,
        secrets_ref,
        bridge: profile.bridge,
    };
    profiles::configure(app, agent, settings).await?;
    Ok(name)
}

/// Sets an agent's webhook to this deployment with a new secret. The previous secret stays valid for a while.
///
/// # Errors
/// Returns a refusal if the agent has no bot, or its token is missing.
pub async fn configure_webhook(
    app: &App,
    agent: &AgentKey,
    public_url: &str,
) -> Result<WebhookAnswer, AppError> {
    let (bot, token) = bot_of(app, agent).await?;
    let url = webhook_url(app, public_url, &bot.identity);
    // The secret is stored before Telegram learns it, so that the first update with the new secret is
    // accepted.
    let secret = new_webhook_secret(app, &bot).await?;
    let api = telegram(app)?.bot(&token);
    let webhook = SetWebhook {
        url: &url,
        secret_token: &secret,
        allowed_updates: ALLOWED_UPDATES,
        max_connections: MAX_CONNECTIONS,
    };
    let set = match api.set_webhook(&webhook).await {
        Err(TelegramError::Unauthorized) => {
            app.secrets.forget(&bot_token_ref(agent));
            let detail =
                format!("Telegram no longer accepts the bot token of agent {agent}; import a new one");
            return Err(Refusal::new(Code::NotConfigured, detail).into());
        }
        other => other,
    };
    set.map_err(telegram_error)?;
    let info = api.get_webhook_info().await.map_err(telegram_error)?;
    let is_ready = info.url == url;
    app.store.webhook_ready(&bot.identity, is_ready.then(|| app.now())).await?;
    Ok(WebhookAnswer {
        ok: is_ready,
        webhook_url: url,
        current_url: info.url,
        bot_identity: bot.identity.to_string(),
        is_ready,
        pending_update_count: info.pending_update_count,
        last_error_message: info.last_error_message,
        last_error_date: info.last_error_date.map(|secs| secs * 1_000),
    })
}

/// Returns the URL of the deployment in the webhook that an agent's bot has at Telegram; `None` if Telegram has no webhook of
/// this deployment for it.
pub(crate) async fn current_url(app: &App, agent: &AgentKey) -> Result<Option<String>, AppError> {
    let (bot, token) = bot_of(app, agent).await?;
    let info = telegram(app)?.bot(&token).get_webhook_info().await.map_err(telegram_error)?;
    let path = webhook_url(app, "", &bot.identity);
    Ok(info.url.strip_suffix(&path).filter(|url| !url.is_empty()).map(str::to_owned))
}

/// The webhook of a bot for a program that fetches the updates from Telegram itself.
#[derive(Debug)]
pub struct OwnWebhook {
    /// The path of the webhook.
    pub path: String,
    /// Its secret.
    pub secret: SecretString,
    /// The client of the bot.
    pub api: af_telegram::Bot,
}

/// Prepares the webhook of an agent's bot for a program that fetches the updates from Telegram itself, and makes the bot
/// ready for pairing.
///
/// # Errors
/// Returns a refusal if the agent has no bot, or Telegram pushes the updates of the bot to a webhook.
pub async fn open_webhook(app: &App, agent: &AgentKey) -> Result<OwnWebhook, AppError> {
    let (bot, token) = bot_of(app, agent).await?;
    let api = telegram(app)?.bot(&token);
    let info = api.get_webhook_info().await.map_err(telegram_error)?;
    if !info.url.is_empty() {
        let detail = format!(
            "Telegram sends the updates of this bot to {}; use another bot, or delete that webhook first",
            info.url
        );
        return Err(Refusal::new(Code::BotConflict, detail).into());
    }
    let secret = new_webhook_secret(app, &bot).await?;
    app.store.webhook_ready(&bot.identity, Some(app.now())).await?;
    Ok(OwnWebhook { path: webhook_url(app, "", &bot.identity), secret, api })
}

/// The bot of an agent, and its token.
async fn bot_of(app: &App, agent: &AgentKey) -> Result<(Bot, SecretString), AppError> {
    let profile = profiles::get(app, agent).await?;
    let no_bot =
        || Refusal::new(Code::NotConfigured, format!("agent {agent} has no bot; import its token first"));
    let name = profile.bot.ok_or_else(no_bot)?;
    let token = app.secrets.get(&bot_token_ref(agent), app.now()).await?.ok_or_else(no_bot)?;
    let bot = app.store.bot(&name.identity).await?.ok_or_else(no_bot)?;
    Ok((bot, token))
}

/// Gives the webhook of `bot` a new secret. The previous one stays valid for a while.
async fn new_webhook_secret(app: &App, bot: &Bot) -> Result<SecretString, AppError> {
    let secret = SecretString::from(URL_SAFE_NO_PAD.encode(app.entropy.bytes::<32>()));
    let hash = Sha256::digest(secret.expose_secret().as_bytes()).into();
    app.store.rotate_webhook_secret(bot, hash, app.now() + PREVIOUS_WEBHOOK_SECRET).await?;
    Ok(secret)
}

/// Whether `given` is the current secret of `bot`'s webhook, or the previous one before it expires. The
/// comparison takes constant time, and does the same work for an unknown bot.
pub fn is_webhook_secret(bot: Option<&Bot>, given: &str, now: Timestamp) -> bool {
    use subtle::ConstantTimeEq;
    let given: [u8; 32] = Sha256::digest(given.as_bytes()).into();
    let current = bot.and_then(|b| b.secret_hash);
    let previous =
        bot.and_then(|b| b.previous_secret).filter(|(_, until)| now < *until).map(|(hash, _)| hash);
    let matches =
        |hash: Option<[u8; 32]>| hash.unwrap_or_default().ct_eq(&given) & u8::from(hash.is_some()).into();
    (matches(current) | matches(previous)).into()
}

fn webhook_url(app: &App, public_url: &str, bot: &BotIdentity) -> String {
    let prefix = app.webhook_path_prefix.trim_matches('/');
    format!("{}/{prefix}/telegram/webhook/{bot}", public_url.trim_end_matches('/'))
}

/// Converts a failed Telegram call to the error for the caller.
pub(crate) fn telegram_error(error: TelegramError) -> AppError {
    let refusal = match error {
        TelegramError::BadRequest { description } | TelegramError::Conflict { description } => {
            Refusal::new(Code::Conflict, format!("Telegram refused: {description}"))
        }
        TelegramError::RateLimited { retry_after } => {
            Refusal::new(Code::Unavailable, "Telegram asks to wait").after(retry_after)
        }
        transient if transient.is_transient() => {
            tracing::warn!(error = %transient, "a Telegram call of an operator failed");
            Refusal::new(Code::Unavailable, "Telegram cannot be reached at the moment; try again")
                .after(RETRY_AFTER)
        }
        other => return other.into(),
    };
    refusal.into()
}

pub(crate) fn telegram(app: &App) -> Result<&BotApi, AppError> {
    let missing = || Refusal::new(Code::NotConfigured, "this function has no TELEGRAM_API_URL");
    Ok(app.telegram.as_ref().ok_or_else(missing)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bot() -> Bot {
        Bot {
            identity: BotIdentity::parse("1").unwrap(),
            username: "b".into(),
            agent: AgentKey::parse("a").unwrap(),
            secret_hash: Some(Sha256::digest(b"new").into()),
            previous_secret: Some((Sha256::digest(b"old").into(), Timestamp::from_millis(100))),
            ready_at: None,
        }
    }

    #[test]
    fn the_new_secret_is_valid_and_the_previous_one_until_it_expires() {
        let now = Timestamp::from_millis(99);
        assert!(is_webhook_secret(Some(&bot()), "new", now));
        assert!(is_webhook_secret(Some(&bot()), "old", now));
        assert!(!is_webhook_secret(Some(&bot()), "old", Timestamp::from_millis(100)));
        assert!(!is_webhook_secret(Some(&bot()), "other", now));
        assert!(!is_webhook_secret(Some(&bot()), "", now));
    }

    #[test]
    fn no_secret_is_valid_for_an_unknown_bot_or_one_without_webhook() {
        let now = Timestamp::from_millis(1);
        assert!(!is_webhook_secret(None, "new", now));
        let without = Bot { secret_hash: None, previous_secret: None, ..bot() };
        assert!(!is_webhook_secret(Some(&without), "", now));
    }
}
