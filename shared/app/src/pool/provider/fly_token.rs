//! Fly's API token, from the deployment's secrets.

use af_aws::secrets::Secrets;
use af_domain::ids::SecretRef;
use af_providers::{ProviderError, TokenSource};
use async_trait::async_trait;
use secrecy::SecretString;

use af_runtime::clock::SharedClock;

/// The secret that opens Fly's API.
pub const FLY_TOKEN_REF: &str = "fly.apiToken";

/// Reads the token where it is needed, so that a rotated one is used within minutes.
pub struct FlyToken {
    pub(crate) secrets: Secrets,
    pub(crate) clock: SharedClock,
}

#[async_trait]
impl TokenSource for FlyToken {
    async fn token(&self) -> Result<Option<SecretString>, ProviderError> {
        let unreadable = |source: Box<dyn std::error::Error + Send + Sync>| ProviderError::Unavailable {
            reason: format!("the secret {FLY_TOKEN_REF} cannot be read"),
            source: Some(source),
        };
        let name = SecretRef::parse(FLY_TOKEN_REF).map_err(|e| unreadable(e.into()))?;
        self.secrets.get(&name, self.clock.now()).await.map_err(|e| unreadable(e.into()))
    }
}
