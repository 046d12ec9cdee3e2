//! What makes a reply out of a bundle.

mod command;
mod echo;
pub(crate) mod openai;
mod pictures;

use std::sync::{Arc, Mutex, PoisonError};

use af_telegram::ParseMode;
use async_trait::async_trait;

use crate::config::{Config, EngineConfig};
use crate::wire::Bundle;

/// Longest reply in bytes. As history it has to fit into a later bundle, whose 16 000 tokens are about this much.
const REPLY_BYTES_MAX: usize = 64 * 1024;
/// Longest progress line sent along with a heartbeat, in characters: it is shown, not kept.
const PROGRESS_CHARS_MAX: usize = 500;

/// An engine. Its future is dropped when the lease is lost or the message is cancelled: whatever it started must
/// end with that.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Answers the message in `bundle`. A blank reply is none.
    async fn answer(&self, bundle: &Bundle, progress: &Progress) -> Result<String, EngineError>;

    /// How its replies are marked up.
    fn markup(&self) -> Option<ParseMode>;
}

/// An engine's failure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct EngineError {
    /// Goes into the message's `lastError`, so it holds no secret.
    pub reason: String,
    /// Whether another attempt may help.
    pub retryable: bool,
}

/// The latest line an engine has to show, taken by the next heartbeat.
#[derive(Debug, Default)]
pub struct Progress(Mutex<Option<String>>);

impl Progress {
    /// Replaces the line.
    pub fn show(&self, line: &str) {
        let line = line.trim().chars().take(PROGRESS_CHARS_MAX).collect::<String>();
        if !line.is_empty() {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(line);
        }
    }

    /// Takes the line, if there is a new one.
    pub fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The engine that the configuration names.
///
/// # Errors
/// When an HTTP client that it needs cannot be set up.
pub fn of(config: &Config) -> Result<Arc<dyn Engine>, reqwest::Error> {
    Ok(match &config.engine {
        EngineConfig::Echo => Arc::new(echo::Echo),
        EngineConfig::Command { program } => Arc::new(command::Command::new(program.clone(), config)),
        EngineConfig::OpenAi(openai) => Arc::new(openai::OpenAi::new(openai.clone(), &config.url)?),
    })
}
