//! User tokens: `afu_` and a signed text (`signed.rs`) with the content `<expiry in ms>|<key id>|<consumerUserId>`.
//!
//! A consumer app makes one for a user, so that a browser or a phone can call the routes of this user. A token ends with the
//! key that made it.

use af_api::keys::Scope;
use af_domain::ids::ConsumerUserId;
use af_domain::refusal::{Code, Refusal};
use af_domain::time::{Millis, Timestamp};
use af_runtime::metric::Metric;
use af_store::conversation::Commit;
use af_store::idempotency::IdempotentCall;
use secrecy::SecretString;

use super::auth::{BOOTSTRAP_KEY_ID, Caller, UserOfToken, admit, valid_key};
use super::signed::{current_key, sign, verified};
use crate::intake::idempotency;
use crate::{App, AppError, Result};

const PREFIX: &str = "afu_";
/// Separates these signatures from those of worker tokens and of links to files.
const PURPOSE: &[u8] = b"agent-factory user 1\0";
/// The validity of a token if its maker does not say.
const DEFAULT_TTL_SECS: u64 = 900;
/// The longest validity. A token cannot be revoked, except with its key.
const MAX_TTL_SECS: u64 = 3_600;

/// Authenticates a caller of a route of the user `of`: a key with the scope `app`, or a token of this user. Returns 401 for
/// any other credential, and 403 for a key without the scope and for a token of another user. `of` is `None` for a route
/// without a user, which no token opens.
pub async fn admit_for_user(app: &App, token: &str, of: Option<&str>) -> Result<Caller> {
    if !token.starts_with(PREFIX) {
        return admit(app, token, &[Scope::App]).await;
    }
    let caller = match verify(app, token).await {
        Err(AppError::Refused(refusal)) => {
            Metric::AuthRejected.count();
            tracing::warn!("call without a valid user token");
            return Err(refusal.into());
        }
        other => other?,
    };
    tracing::Span::current().record("key_id", caller.key_id.as_str());
    if caller.user.as_ref().is_none_or(|user| of != Some(user.id.as_str())) {
        return Err(
            Refusal::new(Code::Forbidden, "a user token opens the routes of its own user only").into()
        );
    }
    Ok(caller)
}

/// Creates a token of `user` for the key of `caller`, and returns it with its expiry. With `once`, a repetition of the same
/// call returns the same token: only its expiry is stored, and the token is signed again.
///
/// # Errors
/// Returns 422 for an invalid validity, or if the idempotency key was used with another request.
pub async fn mint(
    app: &App,
    caller: &Caller,
    user: &ConsumerUserId,
    ttl_secs: Option<u64>,
    once: Option<&IdempotentCall>,
) -> Result<(SecretString, Timestamp)> {
    let ttl = ttl_secs.unwrap_or(DEFAULT_TTL_SECS);
    if !(1..=MAX_TTL_SECS).contains(&ttl) {
        let detail = format!("ttlSeconds must be a whole number from 1 to {MAX_TTL_SECS}");
        return Err(Refusal::field("/ttlSeconds", detail).into());
    }
    let expires_at = expiry(app, ttl, once).await?;
    let content = format!("{expires_at}|{}|{user}", caller.key_id);
    let signed = sign(&current_key(app).await?, PURPOSE, &content);
    Ok((SecretString::from(format!("{PREFIX}{signed}")), expires_at))
}

/// Returns the end of a validity that begins now, or that began with the first call.
async fn expiry(app: &App, ttl_secs: u64, once: Option<&IdempotentCall>) -> Result<Timestamp> {
    let expires_at = app.now() + Millis::from_secs(ttl_secs);
    let Some(once) = once else { return Ok(expires_at) };
    if let Commit::Done = app.store.record_call_if_new(once, &expires_at.to_string()).await? {
        return Ok(expires_at);
    }
    let record = idempotency::find_record(app, Some(once)).await?;
    let first = record.and_then(|record| record.id.parse().ok()).map(Timestamp::from_millis);
    first.ok_or(AppError::Overtaken("making a user token"))
}

/// Verifies a token and returns its user. Returns 401 if the token is invalid or has expired, or if its key does not open the
/// user API any more.
async fn verify(app: &App, token: &str) -> Result<Caller> {
    let refused = |detail: &str| Refusal::new(Code::Unauthorized, detail);
    let signed = token.strip_prefix(PREFIX).unwrap_or_default();
    let content = verified(app, PURPOSE, signed).await?;
    let (key, user) =
        content.as_deref().and_then(parsed).ok_or_else(|| refused("a valid user token is required"))?;
    if user.expires_at <= app.now() {
        return Err(refused("this user token has expired").into());
    }
    let company = if key == BOOTSTRAP_KEY_ID {
        None
    } else {
        let key = valid_key(app, key).await?;
        let opens = |scopes: &[String]| {
            scopes.iter().filter_map(Scope::parse).any(|scope| matches!(scope, Scope::App | Scope::Admin))
        };
        let key = key.filter(|key| opens(&key.scopes));
        key.ok_or_else(|| refused("the key that made this user token was revoked or has expired"))?.company
    };
    // Idempotency keys of a user are those of all its tokens.
    let key_id = format!("user:{}", user.id);
    Ok(Caller { key_id, scopes: Vec::new(), company, user: Some(user) })
}

fn parsed(content: &str) -> Option<(&str, UserOfToken)> {
    let mut parts = content.splitn(3, '|');
    let expires_at = Timestamp::from_millis(parts.next()?.parse().ok()?);
    let key = parts.next()?;
    let id = ConsumerUserId::parse(parts.next()?).ok()?;
    Some((key, UserOfToken { id, expires_at }))
}
