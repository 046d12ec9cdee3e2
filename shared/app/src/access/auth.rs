//! Authentication and authorisation: API keys and their scopes.
//!
//! A key is `afk_<id>_<secret>`. Only the SHA-256 of the secret is stored. The key with the id `bootstrap` is
//! the one that the deployment generated in Secrets Manager.

use af_api::keys::Scope;
use af_domain::ids::{CompanyId, ConsumerUserId, SecretRef};
use af_domain::refusal::{Code, Refusal};
use af_domain::time::Timestamp;
use af_runtime::metric::Metric;
use af_store::api_key::ApiKey;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::opening_secrets;
pub use super::opening_secrets::BOOTSTRAP_KEY_REF;
use crate::{App, AppError, Result};

/// The id of the first admin key.
pub const BOOTSTRAP_KEY_ID: &str = "bootstrap";
pub(crate) const PREFIX: &str = "afk_";
/// Longest id of a key. Key ids are ULIDs, and a longer id could not be a key in the table either.
pub(crate) const MAX_ID_CHARS: usize = 64;
/// Separates the cursor secret from other secrets derived from the first admin key.
const CURSOR_PURPOSE: &[u8] = b"cursor";

/// A caller with a valid key.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The id of the key.
    pub key_id: String,
    /// The scopes of the key. A user token has none.
    pub scopes: Vec<Scope>,
    /// The company to which the key is bound.
    pub company: Option<CompanyId>,
    /// The user of a user token.
    pub user: Option<UserOfToken>,
}

/// The user who calls with a user token.
#[derive(Clone, Debug)]
pub struct UserOfToken {
    /// The user.
    pub id: ConsumerUserId,
    /// When the token expires.
    pub expires_at: Timestamp,
}

impl Caller {
    /// Requires one of `scopes`. An admin key has every scope. Returns 403 if the key has none of them.
    pub fn require(&self, scopes: &[Scope]) -> Result<()> {
        if self.scopes.contains(&Scope::Admin) || self.scopes.iter().any(|s| scopes.contains(s)) {
            return Ok(());
        }
        let wanted: Vec<_> = scopes.iter().map(|s| s.as_str()).collect();
        let detail = format!("this key lacks the scope {}", wanted.join(" or "));
        Err(Refusal::new(Code::Forbidden, detail).into())
    }

    /// Returns the company that a call is about: the one that it names, else the one to which the key is bound. For a
    /// bound key, the other companies do not exist.
    ///
    /// # Errors
    /// 404 if the key is bound to a company other than `named`.
    pub fn company_of(&self, named: Option<CompanyId>) -> Result<Option<CompanyId>, Refusal> {
        match named {
            Some(named) if !self.reaches(&named) => {
                Err(Refusal::not_found(format!("company {named} for this key")))
            }
            named => Ok(named.or_else(|| self.company.clone())),
        }
    }

    /// Whether the key is bound to no company, or to `company`.
    pub fn reaches(&self, company: &CompanyId) -> bool {
        self.company.as_ref().is_none_or(|bound| bound == company)
    }
}

/// Authenticates a caller, requires one of `scopes`, and records the key id in the request's span. Returns 401
/// unless `token` is a key of this deployment, and 403 if it has none of `scopes`.
pub async fn admit(app: &App, token: &str, scopes: &[Scope]) -> Result<Caller> {
    let caller = match authenticate(app, token).await {
        Err(AppError::Refused(refusal)) => {
            Metric::AuthRejected.count();
            tracing::warn!("call without a valid key");
            return Err(refusal.into());
        }
        other => other?,
    };
    tracing::Span::current().record("key_id", caller.key_id.as_str());
    caller.require(scopes)?;
    Ok(caller)
}

/// Returns the secret for signing cursors. It is derived from the first admin key, which every listing
/// function can read.
pub async fn cursor_secret(app: &App) -> Result<[u8; 32]> {
    derived(app, CURSOR_PURPOSE).await
}

/// Returns a secret for one purpose, derived from the first admin key.
pub(crate) async fn derived(app: &App, purpose: &[u8]) -> Result<[u8; 32]> {
    let missing = || opening_secrets::missing(BOOTSTRAP_KEY_REF);
    let key = app.secrets.get(&SecretRef::parse(BOOTSTRAP_KEY_REF)?, app.now()).await?.ok_or_else(missing)?;
    Ok(Sha256::new().chain_update(purpose).chain_update(key.expose_secret()).finalize().into())
}

/// Authenticates the caller with `token`. Returns 401 unless it is a key of this deployment.
pub async fn authenticate(app: &App, token: &str) -> Result<Caller> {
    let refused = || AppError::from(Refusal::new(Code::Unauthorized, "a valid API key is required"));
    let (id, secret) = token.strip_prefix(PREFIX).and_then(|t| t.split_once('_')).ok_or_else(refused)?;
    if id == BOOTSTRAP_KEY_ID {
        let caller = Caller { key_id: id.to_owned(), scopes: vec![Scope::Admin], company: None, user: None };
        return if is_first_key(app, secret).await? { Ok(caller) } else { Err(refused()) };
    }
    if !is_key_id(id) {
        return Err(refused());
    }
    let key = valid_key(app, id).await?.ok_or_else(refused)?;
    if !bool::from(key.secret_hash.ct_eq(&hash(secret))) {
        return Err(refused());
    }
    let scopes = key.scopes.iter().filter_map(Scope::parse).collect();
    Ok(Caller { key_id: key.id, scopes, company: key.company, user: None })
}

/// Returns the key with this id, if it has not expired and was not revoked. A revoked key may be returned for a minute.
pub(crate) async fn valid_key(app: &App, id: &str) -> Result<Option<ApiKey>> {
    let now = app.now();
    if let Some(known) = app.api_keys.get(&id.to_owned(), now) {
        return Ok(Some(known).filter(|key| key.is_valid(now)));
    }
    // An absence is not cached: the key may have been created a moment ago, and the replica may not have it yet.
    let read = app.store.api_key(id, now).await?;
    if let Some(key) = &read {
        app.api_keys.put(id.to_owned(), key.clone(), now);
    }
    Ok(read)
}

/// Whether `secret` is the first admin key, or was it until a moment ago.
async fn is_first_key(app: &App, secret: &str) -> Result<bool> {
    let given = hash(secret);
    has_first_key(app, |hash| bool::from(hash.ct_eq(&given))).await
}

/// Whether the hash of the first admin key, or of the one that was it until a moment ago, is the one that `is_wanted` accepts.
pub(crate) async fn has_first_key(app: &App, is_wanted: impl Fn(&[u8; 32]) -> bool) -> Result<bool> {
    let now = app.now();
    let found = opening_secrets::find_in(app, BOOTSTRAP_KEY_REF, |keys| {
        let is_fresh = keys.rotated_at.is_some_and(|at| now.since(at) < opening_secrets::PREVIOUS_GOOD_FOR);
        let previous = keys.previous.as_ref().filter(|_| is_fresh);
        let same = |key: &SecretString| is_wanted(&hash(key.expose_secret()));
        (same(&keys.current) | previous.is_some_and(same)).then_some(())
    });
    match found.await {
        // Without a first key, no secret is the key.
        Err(AppError::Refused(_)) => Ok(false),
        found => Ok(found?.is_some()),
    }
}

/// Whether `id` has the form of a key id. Other ids are not looked up.
pub(crate) fn is_key_id(id: &str) -> bool {
    (1..=MAX_ID_CHARS).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// The secret part of the key `token`; empty if it is no key.
pub(crate) fn secret_of(token: &str) -> &str {
    let parts = token.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_'));
    parts.map_or("", |(_, secret)| secret)
}

pub(crate) fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}
