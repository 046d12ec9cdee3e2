//! What a provider needs from the process that uses it: API tokens and time.

use std::sync::Arc;
use std::time::Duration;

use af_domain::ids::SecretRef;
use af_runtime::env::MissingVariable;
use async_trait::async_trait;
use secrecy::SecretString;

use crate::error::ProviderError;

/// Where API tokens come from. A provider reads its token for each request, so that a rotated token needs no restart.
#[async_trait]
pub trait TokenSource: Send + Sync {
    /// The token that is stored as `secret`; `None` when no active one is imported.
    ///
    /// # Errors
    /// `Unavailable` when the secret cannot be read.
    async fn token(&self, secret: &SecretRef) -> Result<Option<SecretString>, ProviderError>;
}

/// How a provider reads the time and waits. A test moves a virtual clock instead of waiting.
#[async_trait]
pub trait Time: Send + Sync {
    /// The time since some fixed moment.
    fn now(&self) -> Duration;

    /// Resolves when `by` has passed.
    async fn pass(&self, by: Duration);
}

/// The time of Tokio's runtime.
#[derive(Clone, Copy, Debug)]
pub struct TokioTime(tokio::time::Instant);

impl Default for TokioTime {
    fn default() -> Self {
        Self(tokio::time::Instant::now())
    }
}

#[async_trait]
impl Time for TokioTime {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    async fn pass(&self, by: Duration) {
        tokio::time::sleep(by).await;
    }
}

/// What a process gives to the providers that it makes from its environment.
#[derive(Clone)]
pub struct Ports {
    /// API tokens.
    pub tokens: Arc<dyn TokenSource>,
    /// Time, for rate limits.
    pub time: Arc<dyn Time>,
}

/// Why a provider cannot be made from the environment.
#[derive(Debug, thiserror::Error)]
pub enum WiringError {
    /// A variable that the provider needs is missing.
    #[error(transparent)]
    MissingVariable(#[from] MissingVariable),
    /// A variable has a value that the provider cannot use.
    #[error("{variable} is not usable")]
    Unusable {
        /// The variable.
        variable: &'static str,
        /// Why.
        source: ProviderError,
    },
}
