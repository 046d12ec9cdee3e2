//! Links to files: signed, short-lived, each for one object of the bucket.
//!
//! A token is `<claims>.<signature>`. The claims are `<key id>|<expiry in ms>|<object key>` in base64url. The
//! signature is their HMAC-SHA256 with the signing key of worker tokens, separated by its own purpose. Agents
//! write such links into files and history, so a link must not give access to anything else.

use af_aws::objects::Objects;
use af_domain::refusal::Refusal;
use af_domain::time::{Millis, Timestamp};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::access::signing_keys::key_id;
use crate::access::worker_token::{current_key, key_named};
use crate::files::snapshots;
use crate::{App, AppError};

/// How long a link is valid. An image fetches its files at once.
pub const LINK_GOOD_FOR: Millis = Millis::from_secs(15 * 60);
/// How long the presigned URL behind a link is valid. It is followed at once.
const URL_GOOD_FOR: Millis = Millis::from_secs(60);
/// Separates these signatures from those of worker tokens, which contain no NUL.
const PURPOSE: &[u8] = b"agent-factory file 1\0";

/// Creates the token of a link to the object `object_key`.
pub async fn mint(app: &App, object_key: &str) -> Result<String, AppError> {
    let key = current_key(app).await?;
    let expires_at = app.now() + LINK_GOOD_FOR;
    let claims = URL_SAFE_NO_PAD.encode(format!("{}|{expires_at}|{object_key}", key_id(&key)));
    let signature = URL_SAFE_NO_PAD.encode(signature(&key, &claims).finalize().into_bytes());
    Ok(format!("{claims}.{signature}"))
}

/// Returns the presigned URL of a link. For a snapshot, the download is recorded.
///
/// # Errors
/// Returns 404 if the link is invalid or has expired.
pub async fn redeem(app: &App, objects: &Objects, token: &str) -> Result<String, AppError> {
    let unknown = || Refusal::not_found("file behind this link, or the link has expired");
    let object_key = read(app, token).await?.ok_or_else(unknown)?;
    let url = objects.get_url(&object_key, URL_GOOD_FOR).await?;
    snapshots::fetched(app, &object_key).await?;
    Ok(url)
}

/// Returns the object key of a link; `None` if the link is invalid or has expired.
async fn read(app: &App, token: &str) -> Result<Option<String>, AppError> {
    let parts = token.split_once('.');
    let Some((claims, (key, expires_at, object_key), signed)) = parts.and_then(|(claims, signed)| {
        Some((claims, read_claims(claims)?, URL_SAFE_NO_PAD.decode(signed).ok()?))
    }) else {
        return Ok(None);
    };
    let Some(key) = key_named(app, &key).await? else { return Ok(None) };
    // This comparison takes constant time.
    let is_ours = signature(&key, claims).verify_slice(&signed).is_ok();
    Ok((is_ours && app.now() < expires_at).then_some(object_key))
}

/// Parses key id, expiry and object key. They must not be trusted before the signature is verified.
fn read_claims(claims: &str) -> Option<(String, Timestamp, String)> {
    let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    let mut claims = claims.splitn(3, '|');
    let (key, expires_at, object_key) = (claims.next()?, claims.next()?, claims.next()?);
    Some((key.to_owned(), Timestamp::from_millis(expires_at.parse().ok()?), object_key.to_owned()))
}

fn signature(key: &SecretString, claims: &str) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(key.expose_secret().as_bytes());
    mac.expect("HMAC takes keys of any length").chain_update(PURPOSE).chain_update(claims)
}
