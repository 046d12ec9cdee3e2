//! Attempts: each claim of a message, told when it has ended.

use crate::ids::{Fence, WorkerId};
use crate::time::Timestamp;

/// Attempts of a message that are remembered, the newest. Four times the default of `retry.maxAttempts`; each takes up
/// to 1 KB of the message's item, which is billed with every write of it.
pub const ATTEMPTS_KEPT: usize = 20;

/// An attempt that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The fence of its claim.
    pub fence: Fence,
    /// Which one it was, from 1; a dead letter that is retried begins anew.
    pub number: u32,
    /// Who held the lease.
    pub worker: WorkerId,
    /// When it was claimed.
    pub claimed_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// What became of the message.
    pub end: AttemptEnd,
    /// Who ended it.
    pub ended_by: EndedBy,
    /// Why it ended without success, cut short.
    pub error: Option<String>,
}

/// What an attempt left its message as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// Done.
    Done,
    /// Waiting for its retry.
    Requeued,
    /// A dead letter.
    DeadLetter,
    /// Cancelled.
    Cancelled,
}

impl AttemptEnd {
    /// The end as it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            AttemptEnd::Done => "done",
            AttemptEnd::Requeued => "requeued",
            AttemptEnd::DeadLetter => "dead_letter",
            AttemptEnd::Cancelled => "cancelled",
        }
    }

    /// Reads a stored end.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Done, Self::Requeued, Self::DeadLetter, Self::Cancelled]
            .into_iter()
            .find(|e| e.as_str() == text)
    }
}

/// Who ended a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// Its holder.
    Worker,
    /// Recovery: the lease had expired, or its worker was gone.
    Recovery,
    /// An operator, who freed the conversation.
    Operator,
}

impl EndedBy {
    /// The word as it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            EndedBy::Worker => "worker",
            EndedBy::Recovery => "recovery",
            EndedBy::Operator => "operator",
        }
    }

    /// Reads a stored word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Worker, Self::Recovery, Self::Operator].into_iter().find(|e| e.as_str() == text)
    }
}
