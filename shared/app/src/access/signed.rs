//! Signed texts: worker tokens and links to files. They are verified without reading the table.
//!
//! A signed text is `<claims>.<signature>`. The claims are `<key id>|<content>` in base64url. The signature is their
//! HMAC-SHA256 with the deployment's signing key, separated by a purpose. The key id names the key: when the signing
//! key is rotated, Secrets Manager keeps the previous key, and its signatures stay valid.

use af_domain::ids::SecretRef;
use af_domain::refusal::{Code, Refusal};
use af_domain::time::Millis;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use super::signing_keys::{SIGNING_KEY_REF, SigningKeys, key_id};
use crate::{App, Result};

/// A text with an unknown key id may be signed by a key that is newer than the cached ones. The keys are then read
/// again, at most this often, because anyone can make up texts with unknown key ids.
const MIN_KEYS_READ_INTERVAL: Millis = Millis::from_secs(2);

/// Signs `content` for `purpose`.
pub(super) fn sign(key: &SecretString, purpose: &[u8], content: &str) -> String {
    let claims = URL_SAFE_NO_PAD.encode(format!("{}|{content}", key_id(key)));
    let signature = URL_SAFE_NO_PAD.encode(signature(key, purpose, &claims).finalize().into_bytes());
    format!("{claims}.{signature}")
}

/// Returns the content of a text that was signed for `purpose`; `None` if its signature is invalid.
pub(super) async fn verified(app: &App, purpose: &[u8], signed: &str) -> Result<Option<String>> {
    let decoded = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    let parts = signed.split_once('.').and_then(|(claims, signature)| {
        let text = String::from_utf8(decoded(claims)?).ok()?;
        let (key, content) = text.split_once('|')?;
        Some((claims, key.to_owned(), content.to_owned(), decoded(signature)?))
    });
    let Some((claims, key, content, given)) = parts else { return Ok(None) };
    let Some(key) = key_named(app, &key).await? else { return Ok(None) };
    // This comparison takes constant time.
    Ok(signature(&key, purpose, claims).verify_slice(&given).is_ok().then_some(content))
}

/// Returns the current signing key.
pub(crate) async fn current_key(app: &App) -> Result<SecretString> {
    let name = SecretRef::parse(SIGNING_KEY_REF)?;
    Ok(app.secrets.get(&name, app.now()).await?.ok_or_else(no_key)?)
}

/// Returns the signing key with this id, if it is the current or the previous one.
async fn key_named(app: &App, id: &str) -> Result<Option<SecretString>> {
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

fn signature(key: &SecretString, purpose: &[u8], claims: &str) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(key.expose_secret().as_bytes());
    mac.expect("HMAC takes keys of any length").chain_update(purpose).chain_update(claims)
}
