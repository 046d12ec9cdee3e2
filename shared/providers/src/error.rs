//! What can go wrong at a provider, typed so that a caller decides by variant and never by text.

use std::time::Duration;

use crate::ProviderKind;

/// A call to a provider that did not do what was asked. Reasons are fit for logs and reports: they hold no secret.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The machine or volume does not exist. On teardown callers take this for success.
    #[error("{what} does not exist")]
    NotFound {
        /// What was looked for, with its id.
        what: String,
    },
    /// Not in this state (terminating a machine that still runs): try again at the next tick.
    #[error("not possible yet: {reason}")]
    Precondition {
        /// Which state stands in the way.
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
        /// What was refused.
        reason: String,
    },
    /// Nobody has imported the secret that opens Fly's API.
    #[error("Missing Fly API token. Import an active 'fly.apiToken' secret.")]
    NoToken,
    /// The provider could not be reached or failed: whether the call took effect is unknown.
    #[error("provider unavailable: {reason}")]
    Unavailable {
        /// What failed.
        reason: String,
        /// The failure underneath.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The provider understood and refuses: the same call will not succeed later.
    #[error("refused: {reason}")]
    Rejected {
        /// Why.
        reason: String,
    },
    /// The kind is known, but this deployment cannot use it.
    #[error("provider `{kind}` is not available yet")]
    NotAvailableYet {
        /// The kind that was asked for.
        kind: ProviderKind,
    },
}

impl ProviderError {
    /// Whether the thing is simply not there: success for whoever wants it gone.
    #[must_use]
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Precondition { .. } | Self::RateLimited { .. } | Self::Unavailable { .. })
    }

    pub(crate) fn unavailable(
        reason: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Unavailable { reason: reason.into(), source: Some(source.into()) }
    }
}
