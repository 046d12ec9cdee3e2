//! The keys that sign worker tokens, user tokens and links to files.

use af_aws::secrets::RotatedSecret;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// The secret that contains the signing key.
pub const SIGNING_KEY_REF: &str = "workerToken.signingKey";

/// Returns the current or the previous key, if it has this id. A previous key has no time limit, because the texts that
/// it has signed expire by themselves.
pub(crate) fn named(keys: &RotatedSecret, id: &str) -> Option<SecretString> {
    let mut keys = [Some(&keys.current), keys.previous.as_ref()].into_iter().flatten();
    keys.find(|key| key_id(key) == id).cloned()
}

pub(crate) fn key_id(key: &SecretString) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(key.expose_secret().as_bytes())[..6])
}
