//! setWebhook, deleteWebhook, getWebhookInfo.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Inner;
use super::answer::{ApiError, Success};
use super::params::Params;
use super::records::{Event, Outcome, Webhook};

/// Longest `secret_token`.
const MAX_SECRET_CHARS: usize = 256;
/// Concurrent connections: the default and the bounds of Telegram.
const CONNECTIONS: (i64, i64, i64) = (40, 1, 100);
/// Kinds in `allowed_updates`; Telegram knows about two dozen.
const MAX_KINDS: usize = 100;

pub(super) fn set(inner: &Arc<Inner>, bot: i64, params: &Params) -> Result<Success, ApiError> {
    let url = params.text("url").unwrap_or_default();
    if url.is_empty() {
        return delete(inner, bot, params);
    }
    check_url(&url)?;
    let secret_token = params.text("secret_token").filter(|secret| !secret.is_empty());
    if let Some(secret) = &secret_token {
        check_secret(secret)?;
    }
    let (default, min, max) = CONNECTIONS;
    let connections = params.integer("max_connections").unwrap_or(default).clamp(min, max);
    let webhook = Webhook {
        url,
        secret_token,
        max_connections: u32::try_from(connections).unwrap_or_default(),
        allowed_updates: allowed_updates(params),
    };
    let changed = replace(inner, bot, Some(webhook), params.flag("drop_pending_updates"))?;
    let words = if changed { "Webhook was set" } else { "Webhook is already set" };
    Ok(Success { result: true.into(), description: Some(words) })
}

pub(super) fn delete(inner: &Arc<Inner>, bot: i64, params: &Params) -> Result<Success, ApiError> {
    let changed = replace(inner, bot, None, params.flag("drop_pending_updates"))?;
    let words = if changed { "Webhook was deleted" } else { "Webhook is already deleted" };
    Ok(Success { result: true.into(), description: Some(words) })
}

pub(super) fn info(inner: &Inner, bot: i64) -> Success {
    let core = inner.lock();
    let pending = core.state.pending_of(bot).count();
    let Some(bot) = core.state.bot(bot) else {
        return Value::Null.into();
    };
    let mut info = json!({"url": "", "has_custom_certificate": false, "pending_update_count": pending});
    if let Some(hook) = &bot.webhook {
        info["url"] = hook.url.as_str().into();
        info["max_connections"] = hook.max_connections.into();
        if !hook.allowed_updates.is_empty() {
            info["allowed_updates"] = json!(hook.allowed_updates);
        }
    }
    if let Some((at, message)) = &bot.last_error {
        info["last_error_date"] = (*at).into();
        info["last_error_message"] = message.as_str().into();
    }
    info.into()
}

/// Sets or deletes the webhook, and returns whether it has changed.
fn replace(
    inner: &Arc<Inner>,
    bot: i64,
    webhook: Option<Webhook>,
    drop_pending: bool,
) -> anyhow::Result<bool> {
    let mut core = inner.lock();
    let changed = core.state.bot(bot).is_some_and(|bot| bot.webhook != webhook);
    let mut events = Vec::new();
    if drop_pending {
        let dropped = core.state.pending_of(bot);
        events.extend(
            dropped.map(|update| Event::Settled { serial: update.serial, outcome: Outcome::GivenUp }),
        );
    }
    if changed {
        events.push(Event::Webhook { bot_id: bot, webhook });
    }
    core.commit(events)?;
    inner.push_pending(&mut core, bot);
    drop(core);
    inner.hooks_changed.send_replace(());
    Ok(changed)
}

/// Telegram requires HTTPS and a public address. The emulator calls webhooks on this machine only.
fn check_url(url: &str) -> Result<(), ApiError> {
    let bad = |words: &str| ApiError::bad_request(format!("bad webhook: {words}"));
    let url = reqwest::Url::parse(url).map_err(|_| bad("invalid webhook URL specified"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("An HTTPS URL must be provided for webhook"));
    }
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    if host == "localhost" || address.is_ok_and(|ip| ip.is_loopback()) {
        Ok(())
    } else {
        Err(bad("the emulator calls loopback addresses only"))
    }
}

fn check_secret(secret: &str) -> Result<(), ApiError> {
    if secret.chars().count() > MAX_SECRET_CHARS {
        return Err(ApiError::bad_request("secret token is too long"));
    }
    if !secret.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')) {
        return Err(ApiError::bad_request("secret token contains unallowed characters"));
    }
    Ok(())
}

fn allowed_updates(params: &Params) -> Vec<String> {
    let kinds = params.json("allowed_updates");
    let kinds = kinds.as_ref().and_then(Value::as_array).into_iter().flatten();
    kinds.filter_map(Value::as_str).map(str::to_owned).take(MAX_KINDS).collect()
}
