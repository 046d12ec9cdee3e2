//! The providers that a process has.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use af_runtime::env::Env;

use crate::error::ProviderError;
use crate::kinds::WIRING;
use crate::ports::{Ports, WiringError};
use crate::provider::{Provider, ProviderKind};

/// The providers by kind. Cheap to clone.
#[derive(Clone, Default)]
pub struct Providers {
    all: Arc<BTreeMap<ProviderKind, Arc<dyn Provider>>>,
    /// A kind that a person has switched off, and the text that says how.
    switched_off: Option<(ProviderKind, &'static str)>,
}

impl Providers {
    /// No provider, for a function that never uses the pool.
    pub fn none() -> Self {
        Self::default()
    }

    /// The providers in `given`, and one for every other kind that has settings in `env`. A test passes its own
    /// provider, with its own time, in `given`. Returns an error if the environment has settings for a provider that
    /// cannot be used.
    pub fn from_env(env: &Env, ports: &Ports, given: Self) -> Result<Self, WiringError> {
        let mut providers = given;
        for wiring in WIRING {
            if !providers.all.contains_key(&wiring.kind)
                && let Some(provider) = (wiring.from_env)(env, ports)?
            {
                providers = providers.with(provider);
            }
        }
        Ok(providers)
    }

    /// These providers and `provider`, which replaces one of the same kind.
    pub fn with(self, provider: Arc<dyn Provider>) -> Self {
        let mut all = Arc::unwrap_or_clone(self.all);
        all.insert(provider.kind(), provider);
        Self { all: Arc::new(all), ..self }
    }

    /// These providers, and `reason` as the answer to a call that needs the missing provider `kind`.
    pub fn switched_off(self, kind: ProviderKind, reason: &'static str) -> Self {
        Self { switched_off: Some((kind, reason)), ..self }
    }

    /// The provider of this kind, or `NotAvailable` with the kinds that this process has.
    pub fn get(&self, kind: &str) -> Result<Arc<dyn Provider>, ProviderError> {
        let found = self.all.iter().find(|(known, _)| known.as_str() == kind);
        found.map(|(_, provider)| provider.clone()).ok_or_else(|| match self.switched_off {
            Some((off, reason)) if off.as_str() == kind => ProviderError::SwitchedOff(reason),
            _ => ProviderError::NotAvailable { kind: kind.to_owned(), available: self.names() },
        })
    }

    /// The kinds, separated by commas.
    fn names(&self) -> String {
        if self.all.is_empty() {
            return "none".to_owned();
        }
        self.all.keys().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Debug for Providers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.all.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use af_domain::ids::SecretRef;
    use async_trait::async_trait;
    use secrecy::SecretString;

    use super::*;
    use crate::ports::TokenSource;
    use af_runtime::time::TokioTime;

    struct NoTokens;

    #[async_trait]
    impl TokenSource for NoTokens {
        async fn token(&self, _: &SecretRef) -> Result<Option<SecretString>, ProviderError> {
            Ok(None)
        }
    }

    fn from_env(variables: &[(&str, &str)]) -> Result<Providers, WiringError> {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let env = Env::from(variables.iter().map(pair).collect::<BTreeMap<_, _>>());
        let ports = Ports { tokens: Arc::new(NoTokens), time: Arc::new(TokioTime::default()) };
        Providers::from_env(&env, &ports, Providers::none())
    }

    #[tokio::test]
    async fn a_process_has_the_providers_that_its_environment_names() {
        let none = from_env(&[]).unwrap();
        let error = none.get("fly").err().unwrap();
        assert_eq!(error.to_string(), "provider `fly` is not available; available: none");

        let fly = [("FLY_API_URL", "http://127.0.0.1:9/v1"), ("DEPLOYMENT_ID", "prod")];
        let providers = from_env(&fly).unwrap();
        assert_eq!(providers.get("fly").unwrap().kind(), ProviderKind::FLY);
        let error = providers.get("ecs").err().unwrap();
        assert_eq!(error.to_string(), "provider `ecs` is not available; available: fly");
        let error = providers.get("fly").unwrap().check_credentials().await.unwrap_err();
        assert_eq!(error.to_string(), "Missing Fly API token. Import an active 'fly.apiToken' secret.");
    }

    #[test]
    fn settings_that_cannot_be_used_are_an_error_that_names_the_variable() {
        let unusable = from_env(&[("FLY_API_URL", "ftp://fly"), ("DEPLOYMENT_ID", "prod")]).unwrap_err();
        assert_eq!(unusable.to_string(), "FLY_API_URL is not usable");
        let missing = from_env(&[("FLY_API_URL", "http://127.0.0.1:9/v1")]).unwrap_err();
        assert_eq!(missing.to_string(), "the environment variable DEPLOYMENT_ID is missing");
    }
}
