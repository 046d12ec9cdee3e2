//! Attempts: one record per claim of a message, written when the attempt has ended.

use crate::ids::{Fence, WorkerId};
use crate::named_enum;
use crate::time::Timestamp;
use crate::usage::Usage;

/// How many of the newest attempts of a message are kept. This is four times the default of
/// `retry.maxAttempts`. Each attempt takes about 1 KB of the message's item, and every write of the item is
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
    /// What the attempt has used, as its worker reported it.
    pub usage: Option<Usage>,
}

named_enum! {
    /// The state in which an attempt leaves its message.
    pub enum AttemptEnd {
        /// The message is done.
        Done = "done",
        /// The message waits for its retry.
        Requeued = "requeued",
        /// The message is a dead letter.
        DeadLetter = "dead_letter",
        /// The message is cancelled.
        Cancelled = "cancelled",
    }
}

named_enum! {
    /// Who ended a lease.
    pub enum EndedBy {
        /// The worker that held the lease.
        Worker = "worker",
        /// Recovery, because the lease had expired or the worker was gone.
        Recovery = "recovery",
        /// An operator, who freed the conversation.
        Operator = "operator",
    }
}
