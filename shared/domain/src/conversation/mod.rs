//! The conversation: its queue, its lease and its owner. All decisions about which worker may run which message are
//! here.
//!
//! ```text
//!            enqueue            claim (fence + 1, attempt + 1)
//!   (none) ─────────▶ queued ───────────────────────────────▶ processing (lease)
//!                       ▲                                        │
//!                       ├── fail, recover: attempts left ────────┤
//!                       │                                        ├── complete ──▶ done
//!                  (backoff)                                     ├── fail, recover: none left ──▶ dead_letter
//!                                                                └── the same once cancelled ──▶ cancelled
//! ```
//!
//! An operator has three more operations. They cancel a queued message or a dead letter at once, queue a dead
//! letter again behind all other messages, or free a conversation, which ends its lease as recovery does.
//!
//! Invariants: a conversation has at most one lease. The fence grows by one with each claim and never
//! decreases. A conversation with a lease has an owner. A conversation with an owner is not in the ready
//! index. `version` grows with every change of queue, lease or owner, so a decision made on an older version
//! does not commit.
//!
//! Failures: a worker that dies leaves a lease that expires. `recover` queues the message again in front (the
//! attempt stays counted) or makes it a dead letter. A late call with the old lease finds another lease or
//! none, and changes nothing. `problems` finds states that the system's own writes never produce (for example
//! after a deleted row or message), and `repair_for` returns their repair.

mod consistency;
mod lease;
mod operator;
mod owner;
mod queue;
mod state;
mod waiting;

pub use consistency::{Problem, RelatedState, Repair};
pub use lease::{
    ClaimRefusal, Claimed, FailedAttempt, Failure, LeaseError, MAX_UNCOUNTED_DRAINS, RecoverCause,
};
pub use operator::Freed;
pub use queue::{Entry, OrderKey, Priority, Queue, Readiness, ReadyKey};
pub use state::{Conversation, EndedLease, Lease, Outcome, Owner, OwnerState};
pub use waiting::WaitReason;

#[cfg(test)]
mod tests;
