//! The environment of a function never names this provider.

use std::sync::Arc;

use af_runtime::env::Env;

use crate::ports::{Ports, WiringError};
use crate::provider::Provider;

/// Always `None`: a deployed function cannot keep processes. `agent-factory dev` passes the provider that it has made.
#[expect(clippy::unnecessary_wraps, reason = "every provider of the list has this signature")]
pub(crate) fn from_env(_env: &Env, _ports: &Ports) -> Result<Option<Arc<dyn Provider>>, WiringError> {
    Ok(None)
}
