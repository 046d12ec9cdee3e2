//! getUpdates: for a bot without a webhook.

use std::time::Duration;

use serde_json::Value;

use super::Inner;
use super::answer::{ApiError, Success};
use super::params::Params;
use super::records::{Event, Outcome};

/// Updates in one answer: the default and the maximum of Telegram.
const MAX_UPDATES: i64 = 100;
/// The longest wait for an update, in seconds, as in Telegram.
const MAX_WAIT_SECS: i64 = 50;

pub(super) async fn get(inner: &Inner, bot: i64, params: &Params) -> Result<Success, ApiError> {
    let limit = params.integer("limit").unwrap_or(MAX_UPDATES).clamp(1, MAX_UPDATES);
    let limit = usize::try_from(limit).unwrap_or(1);
    let offset = params.integer("offset").unwrap_or(0);
    let wait = params.integer("timeout").unwrap_or(0).clamp(0, MAX_WAIT_SECS);
    let wait = Duration::from_secs(wait.unsigned_abs());
    let mut arrived = inner.arrived.subscribe();
    let polling = async {
        loop {
            let updates = take(inner, bot, offset, limit)?;
            if !updates.is_empty() || arrived.changed().await.is_err() {
                return Ok(updates);
            }
        }
    };
    match tokio::time::timeout(wait, polling).await {
        Ok(updates) => updates.map(|updates| Value::Array(updates).into()),
        Err(_) => Ok(Value::Array(Vec::new()).into()),
    }
}

/// Confirms the updates before `offset` and returns the following ones. A negative offset counts from the newest.
fn take(inner: &Inner, bot: i64, offset: i64, limit: usize) -> Result<Vec<Value>, ApiError> {
    let mut core = inner.lock();
    if core.state.bot(bot).is_some_and(|bot| bot.webhook.is_some()) {
        let words = "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first";
        return Err(ApiError::new(409, words));
    }
    let mut ids: Vec<(u64, u64)> = core.state.pending_of(bot).map(|u| (u.update_id, u.serial)).collect();
    ids.sort_unstable();
    let first = match usize::try_from(offset) {
        Ok(_) => offset.unsigned_abs(),
        Err(_) => {
            let back = usize::try_from(offset.unsigned_abs()).unwrap_or(usize::MAX);
            ids.get(ids.len().saturating_sub(back)).map_or(0, |(id, _)| *id)
        }
    };
    let confirmed = ids.iter().filter(|(id, _)| *id < first);
    let events =
        confirmed.map(|&(_, serial)| Event::Settled { serial, outcome: Outcome::Delivered }).collect();
    core.commit(events)?;
    let rest = ids.iter().filter(|(id, _)| *id >= first).take(limit);
    Ok(rest.filter_map(|(_, serial)| core.state.pending(*serial)).map(|update| update.body.clone()).collect())
}
