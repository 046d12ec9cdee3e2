//! Worker tokens: signed, so that they are verified without reading the table.
//!
//! `afw_<claims>.<signature>`: claims are `<key id>|<workerId>|<expiry in ms>` in base64url, the signature is
//! their HMAC-SHA256 under the deployment's signing key. The key id lets keys rotate.

use af_domain::ids::{SecretRef, WorkerId};
use af_domain::refusal::{Code, Refusal};
use af_domain::time::Timestamp;
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

/// Makes the token of `worker`.
///
/// # Errors
/// When the deployment has no signing key.
pub async fn mint(app: &App, worker: &WorkerId) -> Result<(SecretString, Timestamp), AppError> {
    let key = signing_key(app).await?;
    let expires_at = app.now() + TOKEN_GOOD_FOR;
    let claims = format!("{}|{worker}|{expires_at}", key_id(&key));
    let claims = URL_SAFE_NO_PAD.encode(claims);
    let signature = URL_SAFE_NO_PAD.encode(signature(&key, &claims).finalize().into_bytes());
    Ok((SecretString::from(format!("{PREFIX}{claims}.{signature}")), expires_at))
}

/// The worker that `token` was made for.
///
/// # Errors
/// 401 when it is not one of ours, or has expired.
pub async fn verify(app: &App, token: &str) -> Result<WorkerId, AppError> {
    let refused = || AppError::from(Refusal::new(Code::Unauthorized, "a valid worker token is needed"));
    let (claims, signed) = token.strip_prefix(PREFIX).and_then(|t| t.split_once('.')).ok_or_else(refused)?;
    let signed = URL_SAFE_NO_PAD.decode(signed).map_err(|_| refused())?;
    let key = signing_key(app).await?;
    signature(&key, claims).verify_slice(&signed).map_err(|_| refused())?;
    let claims =
        URL_SAFE_NO_PAD.decode(claims).ok().and_then(|c| String::from_utf8(c).ok()).ok_or_else(refused)?;
    let mut claims = claims.splitn(3, '|').skip(1);
    let worker = claims.next().and_then(|w| WorkerId::parse(w).ok()).ok_or_else(refused)?;
    let expires_at =
        claims.next().and_then(|e| e.parse().ok()).map(Timestamp::from_millis).ok_or_else(refused)?;
    if expires_at <= app.now() {
        return Err(Refusal::new(Code::Unauthorized, "this worker token has expired").into());
    }
    Ok(worker)
}

async fn signing_key(app: &App) -> Result<SecretString, AppError> {
    let name = SecretRef::parse(SIGNING_KEY_REF)?;
    let missing = || {
        Refusal::new(
            Code::NotConfigured,
            format!("Missing signing key. Import a '{SIGNING_KEY_REF}' secret."),
        )
    };
    Ok(app.secrets.get(&name, app.now()).await?.ok_or_else(missing)?)
}

fn signature(key: &SecretString, claims: &str) -> Hmac<Sha256> {
    let mut mac =
        Hmac::new_from_slice(key.expose_secret().as_bytes()).expect("HMAC takes keys of any length");
    mac.update(claims.as_bytes());
    mac
}

fn key_id(key: &SecretString) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(key.expose_secret().as_bytes())[..6])
}
