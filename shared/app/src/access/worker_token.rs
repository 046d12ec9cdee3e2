//! Worker tokens: `afw_` and a signed text (`signed.rs`) with the content `<workerId>|<expiry in ms>`.
//!
//! A token does not show whether its worker has stopped. Each operation checks the worker's row and lease.

use af_domain::ids::WorkerId;
use af_domain::refusal::{Code, Refusal};
use af_domain::time::Timestamp;
pub use af_domain::worker::TOKEN_GOOD_FOR;
use af_runtime::metric::Metric;
use secrecy::SecretString;

use super::signed::{current_key, sign, verified};
pub use super::signing_keys::SIGNING_KEY_REF;
use crate::{App, Result};

const PREFIX: &str = "afw_";
/// Worker tokens are the only signed texts without a purpose.
const PURPOSE: &[u8] = b"";

/// A token with a valid signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signed {
    /// The token is valid for this worker.
    Good(WorkerId),
    /// The token has expired. It allows nothing, but its worker receives the order to stop.
    Expired(WorkerId),
}

/// Creates a token for `worker`.
pub async fn mint(app: &App, worker: &WorkerId) -> Result<(SecretString, Timestamp)> {
    mint_as_of(app, worker, app.now()).await
}

/// Creates the same token that `worker` received at `at`, unless the signing key was rotated since.
pub(crate) async fn mint_as_of(
    app: &App,
    worker: &WorkerId,
    at: Timestamp,
) -> Result<(SecretString, Timestamp)> {
    Ok(signed(&current_key(app).await?, worker, at))
}

/// Signs a token for `worker` at `at`, and returns it with its expiry.
pub(crate) fn signed(key: &SecretString, worker: &WorkerId, at: Timestamp) -> (SecretString, Timestamp) {
    let expires_at = at + TOKEN_GOOD_FOR;
    let signed = sign(key, PURPOSE, &format!("{worker}|{expires_at}"));
    (SecretString::from(format!("{PREFIX}{signed}")), expires_at)
}

/// Verifies `token` and returns its worker. Returns 401 if the token is invalid or has expired.
pub async fn verify(app: &App, token: &str) -> Result<WorkerId> {
    match examine(app, token).await? {
        Signed::Good(worker) => Ok(worker),
        Signed::Expired(worker) => {
            Metric::AuthRejected.count();
            tracing::warn!(%worker, "call with an expired worker token");
            Err(Refusal::new(Code::Unauthorized, "this worker token has expired").into())
        }
    }
}

/// Verifies `token` for calls that tell a worker with an expired token to stop. The worker would not learn it
/// otherwise. Returns 401 if the token is invalid.
pub async fn examine(app: &App, token: &str) -> Result<Signed> {
    let signed = read(app, token).await?;
    if signed.is_none() {
        Metric::AuthRejected.count();
        tracing::warn!("call without a valid worker token");
    }
    let refused = || Refusal::new(Code::Unauthorized, "a valid worker token is required");
    Ok(signed.ok_or_else(refused)?)
}

/// Verifies a token; `None` if it is invalid.
async fn read(app: &App, token: &str) -> Result<Option<Signed>> {
    let Some(signed) = token.strip_prefix(PREFIX) else { return Ok(None) };
    let content = verified(app, PURPOSE, signed).await?;
    let Some((worker, expires_at)) = content.as_deref().and_then(parsed) else { return Ok(None) };
    Ok(Some(if expires_at <= app.now() { Signed::Expired(worker) } else { Signed::Good(worker) }))
}

fn parsed(content: &str) -> Option<(WorkerId, Timestamp)> {
    let (worker, expires_at) = content.split_once('|')?;
    Some((WorkerId::parse(worker).ok()?, Timestamp::from_millis(expires_at.parse().ok()?)))
}
