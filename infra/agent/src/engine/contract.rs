//! What an engine does, and how it fails.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::hydration::ReceivedBundle;

/// Longest reply in bytes. A later bundle has the reply as history, and its 16 000 tokens are about this size.
pub const MAX_REPLY_BYTES: usize = 64 * 1024;
/// Longest progress line in characters. A heartbeat carries it, and nothing stores it permanently.
const MAX_PROGRESS_CHARS: usize = 500;

/// An engine. The future of an answer is dropped when the lease is lost or the message is cancelled. Everything that works
/// on the message must end with the future.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Answers the message in `bundle`. A blank text means that there is no reply.
    async fn answer(&self, bundle: &ReceivedBundle, progress: &Progress) -> Result<String, Failure>;

    /// The markup of its replies: `plain`, `html` or `markdown`.
    fn format(&self) -> &'static str;

    /// Starts what the engine keeps running between messages, without waiting for it.
    async fn warm_up(&self) {}

    /// Ends what the engine keeps running between messages. Afterwards no process of it uses the data folder.
    async fn stop(&self) {}
}

/// Why a message has no reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Becomes the message's `lastError`, so it must hold no secret.
    pub reason: String,
    /// Whether another attempt may help.
    pub retryable: bool,
    /// How long another attempt must wait, if a server asked for that.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure after which another attempt may help.
    pub fn retryable(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), retryable: true, retry_after: None }
    }

    /// A failure after which no attempt can help.
    pub fn permanent(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), retryable: false, retry_after: None }
    }
}

/// The latest progress line of an engine, which the next heartbeat takes.
#[derive(Debug, Default)]
pub struct Progress(Mutex<Option<String>>);

impl Progress {
    /// Replaces the line.
    pub fn show(&self, line: &str) {
        let line = line.trim().chars().take(MAX_PROGRESS_CHARS).collect::<String>();
        if !line.is_empty() {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(line);
        }
    }

    /// Takes the line, if there is a new one.
    pub fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
