//! What an engine does, and how it fails.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use af_api::usage::UsageBody;
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

/// What an engine reports while it works: its latest progress line, which the next heartbeat takes, and what it has used,
/// which is reported with the end of the attempt.
#[derive(Debug, Default)]
pub struct Progress {
    line: Mutex<Option<String>>,
    usage: Mutex<Option<UsageBody>>,
}

impl Progress {
    /// Replaces the line.
    pub fn show(&self, line: &str) {
        let line = line.trim().chars().take(MAX_PROGRESS_CHARS).collect::<String>();
        if !line.is_empty() {
            *self.line.lock().unwrap_or_else(PoisonError::into_inner) = Some(line);
        }
    }

    /// Takes the line, if there is a new one.
    pub fn take(&self) -> Option<String> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Adds what one request to a model has used.
    pub fn add_usage(&self, used: UsageBody) {
        let mut usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        let before = usage.take().unwrap_or_default();
        let added = |one: Option<u64>, other: Option<u64>| match (one, other) {
            (None, None) => None,
            (one, other) => Some(one.unwrap_or_default().saturating_add(other.unwrap_or_default())),
        };
        *usage = Some(UsageBody {
            input_tokens: before.input_tokens.saturating_add(used.input_tokens),
            output_tokens: before.output_tokens.saturating_add(used.output_tokens),
            cached_input_tokens: added(before.cached_input_tokens, used.cached_input_tokens),
            turns: added(before.turns, used.turns),
            ..used
        });
    }

    /// What the attempt has used so far; `None` if its engine has reported nothing.
    pub fn usage(&self) -> Option<UsageBody> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
