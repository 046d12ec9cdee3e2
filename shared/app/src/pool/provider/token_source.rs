//! The API tokens of providers, from the deployment's secrets.

use af_aws::secrets::Secrets;
use af_domain::ids::SecretRef;
use af_providers::{ProviderError, TokenSource};
use af_runtime::clock::SharedClock;
use async_trait::async_trait;
use secrecy::SecretString;

/// Reads a token from the secrets when a provider needs it, so that a rotated token is used within minutes.
pub(crate) struct SecretTokens {
    pub secrets: Secrets,
    pub clock: SharedClock,
}

#[async_trait]
impl TokenSource for SecretTokens {
    async fn token(&self, secret: &SecretRef) -> Result<Option<SecretString>, ProviderError> {
        let token = self.secrets.get(secret, self.clock.now()).await;
        token.map_err(|error| ProviderError::Unavailable {
            reason: format!("the secret {secret} cannot be read"),
            source: Some(error.into()),
        })
    }
}
