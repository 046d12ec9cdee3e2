//! What a provider needs from the process that uses it: API tokens and time.

use std::sync::Arc;

use af_domain::ids::SecretRef;
use af_runtime::env::MissingVariable;
use af_runtime::time::Time;
use async_trait::async_trait;
use secrecy::SecretString;

use crate::error::ProviderError;

/// Where API tokens come from. A provider reads its token for each request, so that a rotated token needs no restart.
#[async_trait]
pub trait TokenSource: Send + Sync {
    /// The token that is stored as `secret`; `None` when no active one is imported. Returns `Unavailable` if the
    /// secret cannot be read.
    async fn token(&self, secret: &SecretRef) -> Result<Option<SecretString>, ProviderError>;
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
