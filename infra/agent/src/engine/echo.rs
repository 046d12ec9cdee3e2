//! `echo`: says what it was told.
//!
//! Two texts are aids for tests and for trying things out: `/sleep <ms>` waits that long before it is echoed, and
//! `/fail <reason>` fails with that reason.

use std::time::Duration;

use af_telegram::ParseMode;
use async_trait::async_trait;

use super::{Engine, EngineError, Progress};
use crate::wire::Bundle;

/// Longest `/sleep`: an hour is longer than any lease or shutdown that a test waits out.
const SLEEP_MS_MAX: u64 = 3_600_000;

/// The engine.
pub struct Echo;

#[async_trait]
impl Engine for Echo {
    async fn answer(&self, bundle: &Bundle, _progress: &Progress) -> Result<String, EngineError> {
        let text = &bundle.payload.message_text;
        // The first line only: the server appends the global system prompt after a blank line.
        let line = text.lines().next().unwrap_or_default();
        match line.split_once(' ').map(|(word, rest)| (word, rest.trim())) {
            Some(("/sleep", ms)) => {
                if let Ok(ms) = ms.parse::<u64>() {
                    tokio::time::sleep(Duration::from_millis(ms.min(SLEEP_MS_MAX))).await;
                }
            }
            Some(("/fail", reason)) => {
                return Err(EngineError { reason: reason.to_owned(), retryable: true });
            }
            _ => {}
        }
        Ok(format!("echo: {text}"))
    }

    /// What a user typed is no markup.
    fn markup(&self) -> Option<ParseMode> {
        None
    }
}
