//! The errors of use cases.

use af_aws::objects::ObjectsError;
use af_aws::secrets::SecretsError;
use af_domain::ids::InvalidId;
use af_domain::policy::PolicyError;
use af_domain::refusal::{Code, Refusable, Refusal};
use af_domain::time::Millis;
use af_providers::ProviderError;
use af_store::StoreError;
use af_telegram::TelegramError;

/// The result of a use case.
pub type Result<T, E = AppError> = std::result::Result<T, E>;

/// The error of a use case: a refusal with a reason that the caller may see, or a failure.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The request is refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The table did not answer.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// Secrets Manager did not answer.
    #[error("reading or writing secrets failed")]
    Secrets(#[from] SecretsError),
    /// The bucket did not answer.
    #[error("the bucket failed")]
    Objects(#[from] ObjectsError),
    /// Telegram did not answer.
    #[error("Telegram failed")]
    Telegram(#[from] TelegramError),
    /// The provider did not answer.
    #[error("the provider failed")]
    Provider(#[from] ProviderError),
    /// Stored data cannot be parsed.
    #[error("{what} cannot be read")]
    Unreadable {
        /// The kind of data.
        what: &'static str,
        /// The parse error.
        source: serde_json::Error,
    },
    /// Concurrent changes invalidated the decision in every attempt.
    #[error("{0} conflicted with other calls in every attempt")]
    Overtaken(&'static str),
}

impl From<InvalidId> for AppError {
    fn from(invalid: InvalidId) -> Self {
        AppError::Refused(invalid.into())
    }
}

impl From<PolicyError> for AppError {
    fn from(error: PolicyError) -> Self {
        AppError::Refused(error.into())
    }
}

impl Refusable for AppError {
    fn refusal(&self) -> Option<&Refusal> {
        match self {
            AppError::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}

/// The refusal of a call whose lease is no longer in force.
pub(crate) fn stale_lease() -> AppError {
    Refusal::new(
        Code::StaleLease,
        "this lease is no longer in force; stop working on the message: another worker has it, or it has ended",
    )
    .into()
}

/// The refusal of a message for a conversation whose queue is full.
pub(crate) fn queue_full(max: u64) -> AppError {
    let detail =
        format!("{max} messages already wait in this conversation; send again when some have been answered");
    AppError::Refused(Refusal::new(Code::QueueFull, detail).after(Millis::from_secs(30)))
}

/// Returns the text of an error with its causes, the outermost first.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}
