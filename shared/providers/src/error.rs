//! What can go wrong at a provider. Callers decide by variant, never by text.

use std::time::Duration;

/// A call to a provider that did not do what was asked. Reasons hold no secret and may be logged and reported.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The machine or volume does not exist. A teardown treats this as success.
    #[error("{what} does not exist")]
    NotFound {
        /// The kind and id of what does not exist.
        what: String,
    },
    /// The call is not possible in this state, for example the removal of a machine that still runs. The next tick tries
    /// again.
    #[error("not possible yet: {reason}")]
    Precondition {
        /// The state that prevents the call.
        reason: String,
    },
    /// Too many requests.
    #[error("rate limited, try again in {} ms", retry_after.as_millis())]
    RateLimited {
        /// How long the provider asks us to wait.
        retry_after: Duration,
    },
    /// The provider does not accept our credentials.
    #[error("not allowed: {reason}")]
    Auth {
        /// What the provider refused.
        reason: String,
    },
    /// The secret with the provider's API token is not imported. The text names the fix.
    #[error("Missing {provider} API token. Import an active '{secret}' secret.")]
    NoToken {
        /// The provider's name for people.
        provider: &'static str,
        /// The name of the secret.
        secret: &'static str,
    },
    /// The provider could not be reached or failed. The call may have taken effect.
    #[error("provider unavailable: {reason}")]
    Unavailable {
        /// What failed.
        reason: String,
        /// The cause.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The provider understood the call and refuses it. The same call will not succeed later.
    #[error("refused: {reason}")]
    Rejected {
        /// Why.
        reason: String,
    },
    /// A person has switched this provider off. The text says how.
    #[error("{0}")]
    SwitchedOff(&'static str),
    /// This process has no provider of that kind.
    #[error("provider `{kind}` is not available; available: {available}")]
    NotAvailable {
        /// The kind that was asked for.
        kind: String,
        /// The kinds that this process has, separated by commas.
        available: String,
    },
}

impl ProviderError {
    /// Whether the machine or volume does not exist, which is success for a removal.
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    pub(crate) fn unavailable(
        reason: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Unavailable { reason: reason.into(), source: Some(source.into()) }
    }
}
