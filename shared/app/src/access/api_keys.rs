//! API keys: create, list and revoke.

use std::collections::BTreeSet;

use af_api::keys::{KeyBody, NewKey, Scope};
use af_domain::ids::CompanyId;
use af_domain::refusal::{Code, Refusal};
use af_domain::time::Timestamp;
use af_store::api_key::ApiKey;
use af_store::conversation::Commit;
use af_store::idempotency::IdempotentCall;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::access::auth::{PREFIX, derived, hash, is_key_id};
use crate::intake::idempotency;
use crate::{App, AppError, Result};

/// Most characters of a key's name.
const MAX_NAME_CHARS: usize = 100;
/// Separates the secrets of keys from other secrets derived from the same key.
const SECRET_PURPOSE: &[u8] = b"api key";

/// Creates a key. The secret part is returned only this once. With `call`, a repetition of the same call
/// returns it again.
///
/// # Errors
/// Returns a refusal if the name, the scopes or the expiry are invalid, if the idempotency key was used with
/// another request, or if the key created before no longer exists.
pub async fn create(
    app: &App,
    name: &str,
    scopes: &[Scope],
    expires_at: Option<Timestamp>,
    company: Option<&CompanyId>,
    once: Option<&IdempotentCall>,
) -> Result<NewKey> {
    if name.trim().is_empty() || name.chars().count() > MAX_NAME_CHARS {
        return Err(Refusal::field("/name", format!("name must be 1 to {MAX_NAME_CHARS} characters")).into());
    }
    if scopes.is_empty() {
        return Err(Refusal::field("/scopes", "scopes must name at least one of admin, app, read").into());
    }
    if company.is_some() && scopes.iter().any(|scope| *scope != Scope::App) {
        let detail = "a key of a company can have the scope app only, because operators see all companies";
        return Err(Refusal::field("/companyId", detail).into());
    }
    if let Some((once, made)) = once.zip(idempotency::find_record(app, once).await?) {
        return created_before(app, once, &made.id).await;
    }
    let now = app.now();
    if expires_at.is_some_and(|at| at <= now) {
        return Err(Refusal::field("/expiresAt", "expiresAt must be in the future").into());
    }
    let id = app.entropy.ulid(now);
    let secret = match once {
        None => URL_SAFE_NO_PAD.encode(app.entropy.bytes::<32>()),
        Some(once) => secret_of(app, once, &id).await?,
    };
    let key = ApiKey {
        id: id.clone(),
        name: name.to_owned(),
        scopes: scopes.iter().map(|s| s.as_str().to_owned()).collect::<BTreeSet<_>>().into_iter().collect(),
        secret_hash: hash(&secret),
        created_at: now,
        expires_at,
        company: company.cloned(),
    };
    let Some(once) = once else {
        app.store.put_api_key(&key).await?;
        return Ok(shown(key, &secret));
    };
    match app.store.put_api_key_if_first(&key, once).await? {
        Commit::Done => Ok(shown(key, &secret)),
        // The same call was sent twice at the same time.
        Commit::Stale => match idempotency::find_record(app, Some(once)).await? {
            Some(made) => created_before(app, once, &made.id).await,
            None => Err(AppError::Overtaken("creating a key")),
        },
    }
}

/// Returns the key that an earlier attempt of the same call has created.
async fn created_before(app: &App, once: &IdempotentCall, id: &str) -> Result<NewKey> {
    let secret = secret_of(app, once, id).await?;
    let key = app.store.api_key_now(id, app.now()).await?.filter(|key| key.secret_hash == hash(&secret));
    let gone = || {
        let detail = "the key that this call created is revoked or expired, or can no longer be shown";
        Refusal::new(Code::Conflict, detail)
    };
    Ok(shown(key.ok_or_else(gone)?, &secret))
}

/// Returns the secret part of key `id`, for a call with an idempotency key. It is not stored, and must be the
/// same when the call is repeated. Only the first admin key allows to derive it.
async fn secret_of(app: &App, once: &IdempotentCall, id: &str) -> Result<String> {
    let key = derived(app, SECRET_PURPOSE).await?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
    mac.update(once.call.as_bytes());
    mac.update(id.as_bytes());
    Ok(URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

fn shown(key: ApiKey, secret: &str) -> NewKey {
    let shown = format!("{PREFIX}{}_{secret}", key.id);
    NewKey { body: body(key), key: shown }
}

fn body(key: ApiKey) -> KeyBody {
    KeyBody {
        key_id: key.id,
        name: key.name,
        scopes: key.scopes,
        created_at: key.created_at.as_millis(),
        expires_at: key.expires_at.map(Timestamp::as_millis),
        company_id: key.company.map(|company| company.to_string()),
    }
}

/// Returns one page of keys without their secrets.
pub async fn list(app: &App, limit: u32, after: Option<&str>) -> Result<Vec<KeyBody>> {
    let keys = app.store.api_keys(limit as usize, after, app.now()).await?;
    Ok(keys.into_iter().map(body).collect())
}

/// Revokes a key. Functions that have cached it accept it for up to a minute. Returns 404 if the key does not exist.
pub async fn revoke(app: &App, id: &str) -> Result<()> {
    if !is_key_id(id) || app.store.api_key(id, app.now()).await?.is_none() {
        return Err(Refusal::not_found("API key of this id").into());
    }
    app.store.delete_api_key(id).await?;
    app.api_keys.forget(&id.to_owned());
    Ok(())
}
