//! API keys: made, listed, revoked.

use std::collections::BTreeSet;

use af_domain::refusal::Refusal;
use af_domain::time::Timestamp;
pub use af_store::api_key::ApiKey;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;

use crate::auth::{PREFIX, Scope, hash, is_key_id};
use crate::{App, AppError};

/// Most characters of a key's name.
const NAME_CHARS_MAX: usize = 100;

/// Makes a key. Its secret part is shown this once.
///
/// # Errors
/// A refusal when the name, the scopes or the expiry are not acceptable.
pub async fn create(
    app: &App,
    name: &str,
    scopes: &[Scope],
    expires_at: Option<Timestamp>,
) -> Result<(ApiKey, SecretString), AppError> {
    if name.trim().is_empty() || name.chars().count() > NAME_CHARS_MAX {
        return Err(Refusal::field("/name", format!("name must be 1 to {NAME_CHARS_MAX} characters")).into());
    }
    if scopes.is_empty() {
        return Err(Refusal::field("/scopes", "scopes must name at least one of admin, app, read").into());
    }
    let now = app.now();
    if expires_at.is_some_and(|at| at <= now) {
        return Err(Refusal::field("/expiresAt", "expiresAt must lie in the future").into());
    }
    let secret = URL_SAFE_NO_PAD.encode(app.entropy.bytes::<32>());
    let id = app.entropy.ulid(now);
    let key = ApiKey {
        id: id.clone(),
        name: name.to_owned(),
        scopes: scopes.iter().map(|s| s.as_str().to_owned()).collect::<BTreeSet<_>>().into_iter().collect(),
        secret_hash: hash(&secret),
        created_at: now,
        expires_at,
    };
    app.store.put_api_key(&key).await?;
    Ok((key, SecretString::from(format!("{PREFIX}{id}_{secret}"))))
}

/// One page of keys, without their secrets.
///
/// # Errors
/// When they cannot be read.
pub async fn list(app: &App, limit: u32, after: Option<&str>) -> Result<Vec<ApiKey>, AppError> {
    Ok(app.store.api_keys(limit as usize, after, app.now()).await?)
}

/// Revokes a key. Functions that have just seen it may take it for a minute more.
///
/// # Errors
/// 404 when there is none.
pub async fn revoke(app: &App, id: &str) -> Result<(), AppError> {
    if !is_key_id(id) || app.store.api_key(id, app.now()).await?.is_none() {
        return Err(Refusal::not_found("API key of this id").into());
    }
    app.store.delete_api_key(id).await?;
    app.api_keys.forget(&id.to_owned());
    Ok(())
}
