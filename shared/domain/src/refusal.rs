//! Refusals: what a caller is told when the system will not do what was asked. One closed list of codes.

use crate::ids::InvalidId;
use crate::policy::PolicyError;
use crate::time::Millis;

/// Why something was refused, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The request cannot be read.
    MalformedRequest,
    /// No valid key or token came with it.
    Unauthorized,
    /// The key or token does not open this.
    Forbidden,
    /// There is no such thing, or it is not the caller's.
    NotFound,
    /// A field's value is not acceptable.
    InvalidField,
    /// The body is too large.
    PayloadTooLarge,
    /// The lease in the call is not in force any more.
    StaleLease,
    /// The conversation has moved on since the snapshot in the call was prepared.
    StaleSnapshot,
    /// The append does not follow what was appended before.
    OutOfOrder,
    /// The conversation belongs to another agent.
    AgentMismatch,
    /// The agent does not take messages.
    AgentDisabled,
    /// The bot belongs to another agent, or the agent has another bot.
    BotConflict,
    /// The same idempotency key came with another body.
    IdempotencyMismatch,
    /// The id is in use, or was.
    AlreadyExists,
    /// What was asked for does not fit the state it is in.
    Conflict,
    /// Too many messages wait in the conversation.
    QueueFull,
    /// Too many requests.
    RateLimited,
    /// Something that is needed first is missing.
    NotConfigured,
    /// Not at the moment.
    Unavailable,
    /// A fault of ours.
    Internal,
}

impl Code {
    /// All of them; the list is closed.
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

    /// The code as it is answered.
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

// `Internal` stays the last one.
const _: () = assert!(Code::Internal as usize + 1 == Code::ALL.len(), "a code is missing in the list of all");

/// A refusal: what was wrong and how to mend it, in words that a caller may see.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// Why, for programs.
    pub code: Code,
    /// Why, for people.
    pub detail: String,
    /// The field at fault, as a JSON pointer (`/priority`).
    pub pointer: Option<String>,
    /// When to try again.
    pub retry_after: Option<Millis>,
}

impl Refusal {
    /// A refusal without a field.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), pointer: None, retry_after: None }
    }

    /// A field whose value is not acceptable.
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: Some(pointer.into()), ..Self::new(Code::InvalidField, detail) }
    }

    /// There is no such thing.
    pub fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(Code::NotFound, format!("there is no {what}"))
    }

    /// When to try again.
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

/// An error that may be a refusal. What is not one is a fault of ours, whose cause callers never see.
pub trait Refusable: std::error::Error {
    /// The refusal, when it is one.
    fn refusal(&self) -> Option<&Refusal>;
}

impl Refusable for Refusal {
    fn refusal(&self) -> Option<&Refusal> {
        Some(self)
    }
}
