//! Sessions of the console: a signed text (`signed.rs`) in a cookie, with the content
//! `<expiry in ms>|<key id>|<fingerprint>|<CSRF token>`.
//!
//! An operator opens a session with an API key. The session ends with this key: each call looks the key up, as the API does.
//! The fingerprint ends the sessions of a first admin key that was replaced.

use af_api::keys::Scope;
use af_domain::refusal::{Code, Refusal};
use af_domain::time::{Millis, Timestamp};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::auth::{BOOTSTRAP_KEY_ID, Caller, admit, has_first_key, hash, secret_of, valid_key};
use super::signed::{current_key, sign, verified};
use crate::{App, Result};

/// How long a session lasts.
pub const GOOD_FOR: Millis = Millis::from_secs(12 * 60 * 60);
/// Separates these signatures from those of tokens and links.
const PURPOSE: &[u8] = b"agent-factory console 1\0";
/// Separates fingerprints from the stored hashes of keys.
const FINGERPRINT_PURPOSE: &[u8] = b"console fingerprint";
/// Bytes of a fingerprint. It only tells two keys of one id apart; the signature protects it.
const FINGERPRINT_BYTES: usize = 9;

/// A session that is in force.
#[derive(Clone, Debug)]
pub struct Session {
    /// The id of the key that opened it.
    pub key_id: String,
    /// Whether the key may change things: scope `admin`. Otherwise it only reads.
    pub may_change: bool,
    /// The CSRF token that each form of this session contains.
    pub csrf: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl Session {
    /// Whether `given` is the CSRF token of this session, compared in constant time.
    pub fn has_csrf(&self, given: &str) -> bool {
        bool::from(self.csrf.as_bytes().ct_eq(given.as_bytes()))
    }
}

/// Opens a session for the API key `key`, and returns the value of its cookie.
///
/// # Errors
/// Returns 401 if the key is not one of this deployment, and 403 if it has neither the scope `admin` nor `read`, or is bound
/// to a company: the console shows all companies.
pub async fn open(app: &App, key: &str) -> Result<SecretString> {
    let caller = admit(app, key, &[Scope::Read]).await?;
    // Such a key is older than the rule that a key of a company has the scope `app` only.
    if let Some(company) = caller.company {
        let detail =
            format!("this key is bound to the company {company}, and the console shows all companies");
        return Err(Refusal::new(Code::Forbidden, detail).into());
    }
    let csrf = URL_SAFE_NO_PAD.encode(app.entropy.bytes::<24>());
    let fingerprint = fingerprint(&hash(secret_of(key)));
    let content = format!("{}|{}|{fingerprint}|{csrf}", app.now() + GOOD_FOR, caller.key_id);
    Ok(SecretString::from(sign(&current_key(app).await?, PURPOSE, &content)))
}

/// Returns the session of a cookie; `None` if it is invalid or has ended, or its key was revoked or has expired. A revoked key
/// may keep its session for a minute.
pub async fn resume(app: &App, cookie: &str) -> Result<Option<Session>> {
    let Some(content) = verified(app, PURPOSE, cookie).await? else { return Ok(None) };
    let parts: Vec<&str> = content.split('|').collect();
    let [expires_at, key_id, given, csrf] = parts[..] else { return Ok(None) };
    let expires_at = Timestamp::from_millis(expires_at.parse().unwrap_or_default());
    if expires_at <= app.now() {
        return Ok(None);
    }
    let Some(caller) = caller(app, key_id, given).await? else { return Ok(None) };
    tracing::Span::current().record("key_id", key_id);
    Ok(Some(Session {
        key_id: caller.key_id,
        may_change: caller.scopes.contains(&Scope::Admin),
        csrf: csrf.to_owned(),
        expires_at,
    }))
}

/// The key `id`, if it is still valid and has this fingerprint.
async fn caller(app: &App, id: &str, given: &str) -> Result<Option<Caller>> {
    let is_same = |hash: &[u8; 32]| fingerprint(hash) == given;
    let scopes = if id == BOOTSTRAP_KEY_ID {
        if !has_first_key(app, is_same).await? {
            return Ok(None);
        }
        vec![Scope::Admin]
    } else {
        match valid_key(app, id).await?.filter(|key| is_same(&key.secret_hash)) {
            Some(key) => key.scopes.iter().filter_map(Scope::parse).collect(),
            None => return Ok(None),
        }
    };
    Ok(Some(Caller { key_id: id.to_owned(), scopes, company: None, user: None }))
}

fn fingerprint(hash: &[u8; 32]) -> String {
    let digest = Sha256::new().chain_update(FINGERPRINT_PURPOSE).chain_update(hash).finalize();
    URL_SAFE_NO_PAD.encode(&digest[..FINGERPRINT_BYTES])
}
