//! Signed texts: worker tokens, user tokens and links to files. They are verified without reading the table.
//!
//! A signed text is `<claims>.<signature>`. The claims are `<key id>|<content>` in base64url. The signature is their
//! HMAC-SHA256 with the deployment's signing key, separated by a purpose. The key id names the key: when the signing
//! key is rotated, Secrets Manager keeps the previous key, and its signatures stay valid.

use af_domain::ids::SecretRef;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use super::opening_secrets::{self, missing};
use super::signing_keys::{SIGNING_KEY_REF, key_id, named};
use crate::{App, Result};

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
    let key = opening_secrets::find_in(app, SIGNING_KEY_REF, |keys| named(keys, &key)).await?;
    let Some(key) = key else { return Ok(None) };
    // This comparison takes constant time.
    Ok(signature(&key, purpose, claims).verify_slice(&given).is_ok().then_some(content))
}

/// Returns the current signing key.
pub(crate) async fn current_key(app: &App) -> Result<SecretString> {
    let name = SecretRef::parse(SIGNING_KEY_REF)?;
    Ok(app.secrets.get(&name, app.now()).await?.ok_or_else(|| missing(SIGNING_KEY_REF))?)
}

fn signature(key: &SecretString, purpose: &[u8], claims: &str) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(key.expose_secret().as_bytes());
    mac.expect("HMAC takes keys of any length").chain_update(purpose).chain_update(claims)
}
