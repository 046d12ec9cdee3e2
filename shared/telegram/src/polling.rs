//! `getUpdates`: updates for a program without a public address.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Bot, REQUEST_TIMEOUT};
use crate::error::TelegramError;
use crate::update::ALLOWED_UPDATES;

/// The most updates of one answer. An update may have some hundred KB.
const MAX_UPDATES: u64 = 20;
/// The largest answer to read.
const MAX_ANSWER_BYTES: usize = 32 << 20;

/// An update that was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedUpdate {
    /// Its number.
    pub id: u64,
    /// Its JSON, with U+FFFD for broken characters.
    pub json: String,
}

impl Bot {
    /// Fetches the next updates, in order. It waits up to `wait` for the first one. `after` confirms that update and all
    /// before it, so that Telegram does not return them again; with `None` nothing is confirmed.
    ///
    /// # Errors
    /// Returns `Conflict` while the bot has a webhook, or another program fetches its updates.
    pub async fn get_updates(
        &self,
        after: Option<u64>,
        wait: Duration,
    ) -> Result<Vec<FetchedUpdate>, TelegramError> {
        let mut body =
            json!({"limit": MAX_UPDATES, "timeout": wait.as_secs(), "allowed_updates": ALLOWED_UPDATES});
        if let Some(after) = after {
            body["offset"] = after.saturating_add(1).into();
        }
        let timeout = wait + REQUEST_TIMEOUT;
        let updates: Vec<Value> = self.call_within("getUpdates", &body, timeout, MAX_ANSWER_BYTES).await?;
        let fetched = |update: Value| {
            let id = update["update_id"].as_u64().ok_or(TelegramError::Unreadable)?;
            Ok(FetchedUpdate { id, json: update.to_string() })
        };
        updates.into_iter().map(fetched).collect()
    }
}
