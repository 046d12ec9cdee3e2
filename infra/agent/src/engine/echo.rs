//! `echo`: repeats the message.
//!
//! Two texts help with tests and trials: `/sleep <ms>` waits for that time before it is echoed, and `/fail <reason>`
//! fails with that reason.

use std::time::Duration;

use async_trait::async_trait;

use super::contract::{Engine, Failure, Progress};
use crate::hydration::ReceivedBundle;

/// Longest `/sleep`: an hour is longer than any lease or shutdown in a test.
const MAX_SLEEP_MS: u64 = 3_600_000;

/// The engine.
pub struct Echo;

#[async_trait]
impl Engine for Echo {
    async fn answer(&self, bundle: &ReceivedBundle, _progress: &Progress) -> Result<String, Failure> {
        let text = &bundle.payload.message_text;
        // Only the first line: the server appends the global system prompt after a blank line.
        let line = text.lines().next().unwrap_or_default();
        match line.split_once(' ').map(|(word, rest)| (word, rest.trim())) {
            Some(("/sleep", ms)) => {
                if let Ok(ms) = ms.parse::<u64>() {
                    tokio::time::sleep(Duration::from_millis(ms.min(MAX_SLEEP_MS))).await;
                }
            }
            Some(("/fail", reason)) => {
                return Err(Failure::retryable(reason));
            }
            _ => {}
        }
        Ok(format!("echo: {text}"))
    }

    /// The echo of a user's text has no markup.
    fn format(&self) -> &'static str {
        "plain"
    }
}
