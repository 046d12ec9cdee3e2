//! Makes the provider from the environment of a function.

use std::sync::Arc;

use af_runtime::env::Env;

use super::provider::FlyProvider;
use crate::ports::{Ports, WiringError};
use crate::provider::Provider;

/// The variable with the URL of the Machines API. A deployment without it has no Fly provider.
const API_URL: &str = "FLY_API_URL";

/// The provider, when the environment has the URL of the Machines API.
pub(crate) fn from_env(env: &Env, ports: &Ports) -> Result<Option<Arc<dyn Provider>>, WiringError> {
    let Some(url) = env.get(API_URL) else { return Ok(None) };
    let deployment_id = env.require("DEPLOYMENT_ID")?;
    let provider = FlyProvider::new(url, deployment_id, ports.tokens.clone(), ports.time.clone())
        .map_err(|source| WiringError::Unusable { variable: API_URL, source })?;
    Ok(Some(Arc::new(provider)))
}
