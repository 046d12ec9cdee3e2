//! Refusals: the answers to requests that the system does not carry out. The list of codes is closed.

use crate::ids::InvalidId;
use crate::policy::PolicyError;
use crate::time::Millis;

/// The machine-readable reason of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The request cannot be parsed.
    MalformedRequest,
    /// The request has no valid key or token.
    Unauthorized,
    /// The key or token does not allow this operation.
    Forbidden,
    /// The resource does not exist, or it belongs to another caller.
    NotFound,
    /// The value of a field is not valid.
    InvalidField,
    /// The body is too large.
    PayloadTooLarge,
    /// The lease in the call is no longer in force.
    StaleLease,
    /// The conversation has changed since the snapshot in the call was prepared.
    StaleSnapshot,
    /// The append does not follow the previous append.
    OutOfOrder,
    /// The conversation belongs to another agent.
    AgentMismatch,
    /// The agent does not accept messages.
    AgentDisabled,
    /// The bot belongs to another agent, or the agent has another bot.
    BotConflict,
    /// The idempotency key was used with another body.
    IdempotencyMismatch,
    /// The id is in use, or was used before.
    AlreadyExists,
    /// The operation does not fit the current state of the resource.
    Conflict,
    /// Too many messages wait in the conversation.
    QueueFull,
    /// Too many requests.
    RateLimited,
    /// A required configuration is missing.
    NotConfigured,
    /// The service is temporarily unavailable.
    Unavailable,
    /// An internal error.
    Internal,
}

impl Code {
    /// All codes; the list is closed.
    pub const ALL: [Self; 20] = [
        Code::MalformedRequest,
        Code::Unauthorized,
        Code::Forbidden,
        Code::NotFound,
        Code::InvalidField,
        Code::PayloadTooLarge,
        Code::StaleLease,
        Code::StaleSnapshot,
        Code::OutOfOrder,
        Code::AgentMismatch,
        Code::AgentDisabled,
        Code::BotConflict,
        Code::IdempotencyMismatch,
        Code::AlreadyExists,
        Code::Conflict,
        Code::QueueFull,
        Code::RateLimited,
        Code::NotConfigured,
        Code::Unavailable,
        Code::Internal,
    ];

    /// The code as it is sent in responses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Code::MalformedRequest => "malformed_request",
            Code::Unauthorized => "unauthorized",
            Code::Forbidden => "forbidden",
            Code::NotFound => "not_found",
            Code::InvalidField => "invalid_field",
            Code::PayloadTooLarge => "payload_too_large",
            Code::StaleLease => "stale_lease",
            Code::StaleSnapshot => "stale_snapshot",
            Code::OutOfOrder => "out_of_order",
            Code::AgentMismatch => "agent_mismatch",
            Code::AgentDisabled => "agent_disabled",
            Code::BotConflict => "bot_conflict",
            Code::IdempotencyMismatch => "idempotency_mismatch",
            Code::AlreadyExists => "already_exists",
            Code::Conflict => "conflict",
            Code::QueueFull => "queue_full",
            Code::RateLimited => "rate_limited",
            Code::NotConfigured => "not_configured",
            Code::Unavailable => "unavailable",
            Code::Internal => "internal",
        }
    }
}

// `Internal` must stay the last code.
const _: () = assert!(Code::Internal as usize + 1 == Code::ALL.len(), "Code::ALL lacks a code");

/// A refusal: the reason and a repair_for, in text that the caller may see.
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
