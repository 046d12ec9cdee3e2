//! The changes of a conversation.

use crate::ids::MessageId;
use crate::outbox::Delivery;
use crate::time::Timestamp;

/// A change of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A message has another status.
    Status(StatusChange),
    /// The worker of the running message has reported progress.
    Draft {
        /// The message.
        message: MessageId,
        /// The progress.
        text: String,
        /// When it was noticed.
        at: Timestamp,
    },
    /// The delivery of a reply to Telegram has ended.
    Delivery {
        /// The message.
        message: MessageId,
        /// The result of the delivery.
        delivery: Delivery,
        /// When it was noticed.
        at: Timestamp,
    },
    /// More has changed than can be followed: the caller must read the conversation anew.
    Resync {
        /// When it was noticed.
        at: Timestamp,
    },
}

/// The new status of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusChange {
    /// The message.
    pub message: MessageId,
    /// `queued`, `processing`, `done`, `dead_letter` or `cancelled`.
    pub status: &'static str,
    /// Claims that count towards the limit, with a running one.
    pub attempts: u32,
    /// When the status began, or when it was noticed if that is not known.
    pub at: Timestamp,
    /// When the message is due next, while it waits for a time.
    pub scheduled_for: Option<Timestamp>,
    /// Why the message ended without success.
    pub error: Option<String>,
    /// The reply of the agent.
    pub reply: Option<String>,
}
