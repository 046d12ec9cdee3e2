//! Worker tokens: signed, so that they are verified without reading the table.
//!
//! `afw_<claims>.<signature>`: claims are `<key id>|<workerId>|<expiry in ms>` in base64url, the signature is
//! their HMAC-SHA256 under the deployment's signing key. The key id says under which: when the signing key is rotated,
//! Secrets Manager keeps the one before, and tokens under that one stay good until they end.
//!
//! That a worker has stopped is not in its token: what it may still do is decided where it asks for it, by its row and
//! by what it holds.

use af_domain::ids::{SecretRef, WorkerId};
use af_domain::refusal::{Code, Refusal};
use af_domain::time::{Millis, Timestamp};
pub use af_domain::worker::TOKEN_GOOD_FOR;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::{App, AppError};

/// The secret ref of the signing key.
pub const SIGNING_KEY_REF: &str = "workerToken.signingKey";
const PREFIX: &str = "afw_";
/// How long the signing keys are kept in memory.
pub(crate) const KEYS_GOOD_FOR: Millis = Millis::from_secs(5 * 60);
/// A token that names an unknown key may be under one that is newer than those in memory. They are read anew for it at
/// most this often: anybody can make up tokens that name keys.
const KEYS_READ_EVERY: Millis = Millis::from_secs(2);

/// A token whose signature is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signed {
    /// It opens what this worker may do.
    Good(WorkerId),
    /// Its time is over: it opens nothing, but whoever has it is told to stop.
    Expired(WorkerId),
}

/// The signing key and the one before it.
#[derive(Clone)]
pub(crate) struct SigningKeys {
    current: SecretString,
    previous: Option<SecretString>,
    read_at: Timestamp,
}

impl SigningKeys {
    fn named(&self, id: &str) -> Option<&SecretString> {
        [Some(&self.current), self.previous.as_ref()].into_iter().flatten().find(|key| key_id(key) == id)
    }
}

/// Makes the token of `worker`.
///
/// # Errors
/// When the deployment has no signing key.
pub async fn mint(app: &App, worker: &WorkerId) -> Result<(SecretString, Timestamp), AppError> {
    mint_as_of(app, worker, app.now()).await
}

/// The token that `worker` was given at `at`, as long as the signing key has not been rotated since.
///
/// # Errors
/// As `mint`.
pub(crate) async fn mint_as_of(
    app: &App,
    worker: &WorkerId,
    at: Timestamp,
) -> Result<(SecretString, Timestamp), AppError> {
    Ok(signed(&current_key(app).await?, worker, at))
}

/// The token that `worker` is given at `at` under this signing key, and when it ends.
pub(crate) fn signed(key: &SecretString, worker: &WorkerId, at: Timestamp) -> (SecretString, Timestamp) {
    let expires_at = at + TOKEN_GOOD_FOR;
    let claims = format!("{}|{worker}|{expires_at}", key_id(key));
    let claims = URL_SAFE_NO_PAD.encode(claims);
    let signature = URL_SAFE_NO_PAD.encode(signature(key, &claims).finalize().into_bytes());
    (SecretString::from(format!("{PREFIX}{claims}.{signature}")), expires_at)
}

/// The worker that `token` was made for.
///
/// # Errors
/// 401 when it is not one of ours, or has expired.
pub async fn verify(app: &App, token: &str) -> Result<WorkerId, AppError> {
    match examine(app, token).await? {
        Signed::Good(worker) => Ok(worker),
        Signed::Expired(worker) => {
            tracing::warn!(metric = "auth_rejected", %worker, "call with an expired worker token");
            Err(Refusal::new(Code::Unauthorized, "this worker token has expired").into())
        }
    }
}

/// The same, for calls that tell a worker whose token has expired to stop: it would never learn otherwise.
///
/// # Errors
/// 401 when it is not one of ours.
pub async fn examine(app: &App, token: &str) -> Result<Signed, AppError> {
    let signed = read(app, token).await?;
    if signed.is_none() {
        tracing::warn!(metric = "auth_rejected", "call without a worker token of ours");
    }
    let refused = || Refusal::new(Code::Unauthorized, "a valid worker token is needed");
    Ok(signed.ok_or_else(refused)?)
}

/// What the token says; `None` when it is not one of ours.
async fn read(app: &App, token: &str) -> Result<Option<Signed>, AppError> {
    let parts = token.strip_prefix(PREFIX).and_then(|t| t.split_once('.'));
    let Some((claims, (key, worker, expires_at), signed)) = parts.and_then(|(claims, signed)| {
        Some((claims, read_claims(claims)?, URL_SAFE_NO_PAD.decode(signed).ok()?))
    }) else {
        return Ok(None);
    };
    let Some(key) = key_named(app, &key).await? else { return Ok(None) };
    // In constant time.
    if signature(&key, claims).verify_slice(&signed).is_err() {
        return Ok(None);
    }
    Ok(Some(if expires_at <= app.now() { Signed::Expired(worker) } else { Signed::Good(worker) }))
}

/// Key id, worker and expiry. Nothing of it is true before the signature is verified.
fn read_claims(claims: &str) -> Option<(String, WorkerId, Timestamp)> {
    let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    let mut claims = claims.splitn(3, '|');
    let (key, worker, expires_at) = (claims.next()?, claims.next()?, claims.next()?);
    let expires_at = Timestamp::from_millis(expires_at.parse().ok()?);
    Some((key.to_owned(), WorkerId::parse(worker).ok()?, expires_at))
}

/// The signing key in use.
pub(crate) async fn current_key(app: &App) -> Result<SecretString, AppError> {
    let name = SecretRef::parse(SIGNING_KEY_REF)?;
    Ok(app.secrets.get(&name, app.now()).await?.ok_or_else(no_key)?)
}

/// The signing key of this id, if it is the present one or the one before.
pub(crate) async fn key_named(app: &App, id: &str) -> Result<Option<SecretString>, AppError> {
    let now = app.now();
    if let Some(known) = app.signing_keys.get(&(), now) {
        let key = known.named(id).cloned();
        if key.is_some() || now.since(known.read_at) < KEYS_READ_EVERY {
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

pub(crate) fn key_id(key: &SecretString) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(key.expose_secret().as_bytes())[..6])
}
