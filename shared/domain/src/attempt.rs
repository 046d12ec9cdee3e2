//! Attempts: one record per claim of a message, written when the attempt has ended.

use crate::ids::{Fence, WorkerId};
use crate::time::Timestamp;

/// How many of the newest attempts of a message are kept. This is four times the default of
/// `retry.maxAttempts`. Each attempt takes up to 1 KB of the message's item, and every write of the item is
/// billed by its size.
pub const ATTEMPTS_KEPT: usize = 20;

/// An attempt that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The fence of the claim.
    pub fence: Fence,
    /// The number of the attempt, from 1. It starts again when a dead letter is retried.
    pub number: u32,
    /// The worker that held the lease.
    pub worker: WorkerId,
    /// When it was claimed.
    pub claimed_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// The state of the message after the attempt.
    pub end: AttemptEnd,
    /// Who ended the attempt.
    pub ended_by: EndedBy,
    /// Why the attempt ended without success, truncated.
    pub error: Option<String>,
}

/// The state in which an attempt leaves its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// The message is done.
    Done,
    /// The message waits for its retry.
    Requeued,
    /// The message is a dead letter.
    DeadLetter,
    /// The message is cancelled.
    Cancelled,
}

impl AttemptEnd {
    /// The state as it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            AttemptEnd::Done => "done",
            AttemptEnd::Requeued => "requeued",
            AttemptEnd::DeadLetter => "dead_letter",
            AttemptEnd::Cancelled => "cancelled",
        }
    }

    /// Parses a stored state.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Done, Self::Requeued, Self::DeadLetter, Self::Cancelled]
            .into_iter()
            .find(|e| e.as_str() == text)
    }
}

/// Who ended a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// The worker that held the lease.
    Worker,
    /// Recovery, because the lease had expired or the worker was gone.
    Recovery,
    /// An operator, who freed the conversation.
    Operator,
}

impl EndedBy {
    /// The value as it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            EndedBy::Worker => "worker",
            EndedBy::Recovery => "recovery",
            EndedBy::Operator => "operator",
        }
    }

    /// Parses a stored value.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Worker, Self::Recovery, Self::Operator].into_iter().find(|e| e.as_str() == text)
    }
}
