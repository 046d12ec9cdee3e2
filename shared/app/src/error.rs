//! What a use case answers when it does not succeed.

use af_aws::objects::ObjectsError;
use af_aws::secrets::SecretsError;
use af_domain::ids::InvalidId;
use af_domain::policy::PolicyError;
use af_domain::refusal::{Code, Refusable, Refusal};
use af_domain::time::Millis;
use af_providers::ProviderError;
use af_store::StoreError;
use af_telegram::TelegramError;

/// A use case that did not succeed: refused, for a reason the caller may see, or failed.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The caller asked for something that is not to be had.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The table could not answer.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// Secrets Manager could not answer.
    #[error("reading or writing secrets failed")]
    Secrets(#[from] SecretsError),
    /// The bucket could not answer.
    #[error("the bucket failed")]
    Objects(#[from] ObjectsError),
    /// Telegram could not answer.
    #[error("Telegram failed")]
    Telegram(#[from] TelegramError),
    /// The provider could not answer.
    #[error("the provider failed")]
    Provider(#[from] ProviderError),
    /// Something that we wrote cannot be read.
    #[error("{what} cannot be read")]
    Unreadable {
        /// What.
        what: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// The decision kept being overtaken by others.
    #[error("{0} kept being overtaken by other calls")]
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

/// The lease in a call is not in force any more.
pub(crate) fn stale_lease() -> AppError {
    Refusal::new(
        Code::StaleLease,
        "this lease is not in force any more; stop working on the message, another worker has it or it has ended",
    )
    .into()
}

/// The conversation has as many waiting messages as it may.
pub(crate) fn queue_full(max: u64) -> AppError {
    let detail =
        format!("{max} messages wait in this conversation already; send again when some have been answered");
    AppError::Refused(Refusal::new(Code::QueueFull, detail).after(Millis::from_secs(30)))
}

/// The text of an error with its causes, outermost first.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}
