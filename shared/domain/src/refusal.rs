//! Refusals: the answers to requests that the system does not carry out. The list of codes is closed.

use crate::ids::InvalidId;
use crate::named_enum;
use crate::policy::PolicyError;
use crate::time::Millis;

named_enum! {
    /// The machine-readable reason of a refusal.
    pub enum Code {
        /// The request cannot be parsed.
        MalformedRequest = "malformed_request",
        /// The request has no valid key or token.
        Unauthorized = "unauthorized",
        /// The key or token does not allow this operation.
        Forbidden = "forbidden",
        /// The resource does not exist, or it belongs to another caller.
        NotFound = "not_found",
        /// The value of a field is not valid.
        InvalidField = "invalid_field",
        /// The body is too large.
        PayloadTooLarge = "payload_too_large",
        /// The lease in the call is no longer in force.
        StaleLease = "stale_lease",
        /// The conversation has changed since the snapshot in the call was prepared.
        StaleSnapshot = "stale_snapshot",
        /// A message of the conversation runs, and the operation must wait until it ends.
        MessageRunning = "message_running",
        /// The append does not follow the previous append.
        OutOfOrder = "out_of_order",
        /// The conversation belongs to another agent.
        AgentMismatch = "agent_mismatch",
        /// The agent does not accept messages.
        AgentDisabled = "agent_disabled",
        /// The bot belongs to another agent, or the agent has another bot.
        BotConflict = "bot_conflict",
        /// The idempotency key was used with another body.
        IdempotencyMismatch = "idempotency_mismatch",
        /// The id is in use, or was used before.
        AlreadyExists = "already_exists",
        /// The operation does not fit the current state of the resource.
        Conflict = "conflict",
        /// Too many messages wait in the conversation.
        QueueFull = "queue_full",
        /// Too many requests.
        RateLimited = "rate_limited",
        /// A required configuration is missing.
        NotConfigured = "not_configured",
        /// The service is temporarily unavailable.
        Unavailable = "unavailable",
        /// An internal error.
        Internal = "internal",
    }
}

/// A refusal: the reason and how to fix it, in text that the caller may see.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// The reason, for programs.
    pub code: Code,
    /// The reason, for people.
    pub detail: String,
    /// The invalid field, as a JSON pointer (`/priority`).
    pub pointer: Option<String>,
    /// How long to wait before a retry.
    pub retry_after: Option<Millis>,
}

impl Refusal {
    /// Creates a refusal without a field.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), pointer: None, retry_after: None }
    }

    /// Creates a refusal of an invalid field.
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: Some(pointer.into()), ..Self::new(Code::InvalidField, detail) }
    }

    /// Creates a refusal for a resource that does not exist.
    pub fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(Code::NotFound, format!("there is no {what}"))
    }

    /// Sets how long to wait before a retry.
    #[must_use]
    pub const fn after(mut self, wait: Millis) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

impl From<InvalidId> for Refusal {
    fn from(invalid: InvalidId) -> Self {
        Refusal::field(format!("/{}", invalid.kind), invalid.to_string())
    }
}

impl From<PolicyError> for Refusal {
    fn from(error: PolicyError) -> Self {
        let pointer = match &error {
            PolicyError::Unknown(field) | PolicyError::OutOfBounds { field, .. } => field.replace('.', "/"),
        };
        Refusal::field(format!("/{pointer}"), error.to_string())
    }
}

/// An error that may be a refusal. Any other error is internal, and callers never see its cause.
pub trait Refusable: std::error::Error {
    /// Returns the refusal, if the error is one.
    fn refusal(&self) -> Option<&Refusal>;
}

impl Refusable for Refusal {
    fn refusal(&self) -> Option<&Refusal> {
        Some(self)
    }
}
