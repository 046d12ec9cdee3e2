//! Worker tokens. They are signed, so that they are verified without reading the table.
//!
//! A token is `afw_<claims>.<signature>`. The claims are `<key id>|<workerId>|<expiry in ms>` in base64url.
//! The signature is their HMAC-SHA256 with the deployment's signing key. The key id names the key: when the
//! signing key is rotated, Secrets Manager keeps the previous key, and its tokens stay valid until they
//! expire.
//!
//! A token does not show whether its worker has stopped. Each operation checks the worker's row and lease.

use af_domain::ids::{SecretRef, WorkerId};
use af_domain::refusal::{Code, Refusal};
use af_domain::time::{Millis, Timestamp};
pub use af_domain::worker::TOKEN_GOOD_FOR;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use super::signing_keys::{SigningKeys, key_id};
use crate::{App, AppError};

/// The secret that contains the signing key.
pub const SIGNING_KEY_REF: &str = "workerToken.signingKey";
const PREFIX: &str = "afw_";
/// A token with an unknown key id may be signed by a key that is newer than the cached ones. The keys are
/// then read again, at most this often, because anyone can make up tokens with unknown key ids.
const MIN_KEYS_READ_INTERVAL: Millis = Millis::from_secs(2);

/// A token with a valid signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signed {
    /// The token is valid for this worker.
    Good(WorkerId),
    /// The token has expired. It allows nothing, but its worker receives the order to stop.
    Expired(WorkerId),
}

/// Creates a token for `worker`.
pub async fn mint(app: &App, worker: &WorkerId) -> Result<(SecretString, Timestamp), AppError> {
    mint_as_of(app, worker, app.now()).await
}

/// Creates the same token that `worker` received at `at`, unless the signing key was rotated since.
pub(crate) async fn mint_as_of(
    app: &App,
    worker: &WorkerId,
    at: Timestamp,
) -> Result<(SecretString, Timestamp), AppError> {
    Ok(signed(&current_key(app).await?, worker, at))
}

/// Signs a token for `worker` at `at`, and returns it with its expiry.
pub(crate) fn signed(key: &SecretString, worker: &WorkerId, at: Timestamp) -> (SecretString, Timestamp) {
    let expires_at = at + TOKEN_GOOD_FOR;
    let claims = format!("{}|{worker}|{expires_at}", key_id(key));
    let claims = URL_SAFE_NO_PAD.encode(claims);
    let signature = URL_SAFE_NO_PAD.encode(signature(key, &claims).finalize().into_bytes());
    (SecretString::from(format!("{PREFIX}{claims}.{signature}")), expires_at)
}

/// Verifies `token` and returns its worker.
///
/// # Errors
/// Returns 401 if the token is invalid or has expired.
pub async fn verify(app: &App, token: &str) -> Result<WorkerId, AppError> {
    match examine(app, token).await? {
        Signed::Good(worker) => Ok(worker),
        Signed::Expired(worker) => {
            tracing::warn!(metric = "auth_rejected", %worker, "call with an expired worker token");
            Err(Refusal::new(Code::Unauthorized, "this worker token has expired").into())
        }
    }
}

/// Verifies `token` for calls that tell a worker with an expired token to stop. The worker would not learn it
/// otherwise.
///
/// # Errors
/// Returns 401 if the token is invalid.
pub async fn examine(app: &App, token: &str) -> Result<Signed, AppError> {
    let signed = read(app, token).await?;
    if signed.is_none() {
        tracing::warn!(metric = "auth_rejected", "call without a valid worker token");
    }
    let refused = || Refusal::new(Code::Unauthorized, "a valid worker token is required");
    Ok(signed.ok_or_else(refused)?)
}

/// Verifies a token; `None` if it is invalid.
async fn read(app: &App, token: &str) -> Result<Option<Signed>, AppError> {
    let parts = token.strip_prefix(PREFIX).and_then(|t| t.split_once('.'));
    let Some((claims, (key, worker, expires_at), signed)) = parts.and_then(|(claims, signed)| {
        Some((claims, read_claims(claims)?, URL_SAFE_NO_PAD.decode(signed).ok()?))
    }) else {
        return Ok(None);
    };
    let Some(key) = key_named(app, &key).await? else { return Ok(None) };
    // This comparison takes constant time.
    if signature(&key, claims).verify_slice(&signed).is_err() {
        return Ok(None);
    }
    Ok(Some(if expires_at <= app.now() { Signed::Expired(worker) } else { Signed::Good(worker) }))
}

/// Parses key id, worker and expiry. They must not be trusted before the signature is verified.
fn read_claims(claims: &str) -> Option<(String, WorkerId, Timestamp)> {
    let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    let mut claims = claims.splitn(3, '|');
    let (key, worker, expires_at) = (claims.next()?, claims.next()?, claims.next()?);
    let expires_at = Timestamp::from_millis(expires_at.parse().ok()?);
    Some((key.to_owned(), WorkerId::parse(worker).ok()?, expires_at))
}

/// Returns the current signing key.
pub(crate) async fn current_key(app: &App) -> Result<SecretString, AppError> {
    let name = SecretRef::parse(SIGNING_KEY_REF)?;
    Ok(app.secrets.get(&name, app.now()).await?.ok_or_else(no_key)?)
}

/// Returns the signing key with this id, if it is the current or the previous one.
pub(crate) async fn key_named(app: &App, id: &str) -> Result<Option<SecretString>, AppError> {
    let now = app.now();
    if let Some(known) = app.signing_keys.get(&(), now) {
        let key = known.named(id).cloned();
        if key.is_some() || now.since(known.read_at) < MIN_KEYS_READ_INTERVAL {
            return Ok(key);
        }
    }
    let (current, previous) =
        app.secrets.with_previous(&SecretRef::parse(SIGNING_KEY_REF)?).await?.ok_or_else(no_key)?;
    let keys = SigningKeys { current, previous, read_at: now };
    let key = keys.named(id).cloned();
    app.signing_keys.put((), keys, now);
    Ok(key)
}

fn no_key() -> Refusal {
    let detail = format!("Missing signing key. Import a '{SIGNING_KEY_REF}' secret.");
    Refusal::new(Code::NotConfigured, detail)
}

fn signature(key: &SecretString, claims: &str) -> Hmac<Sha256> {
    let mut mac =
        Hmac::new_from_slice(key.expose_secret().as_bytes()).expect("HMAC takes keys of any length");
    mac.update(claims.as_bytes());
    mac
}
