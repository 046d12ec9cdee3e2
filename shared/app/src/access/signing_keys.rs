//! The keys that sign worker tokens and links to files.

use af_domain::time::{Millis, Timestamp};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// The secret that contains the signing key.
pub const SIGNING_KEY_REF: &str = "workerToken.signingKey";
/// How long the signing keys are cached.
pub(crate) const KEYS_GOOD_FOR: Millis = Millis::from_secs(5 * 60);

/// The current and the previous signing key.
#[derive(Clone)]
pub(crate) struct SigningKeys {
    pub current: SecretString,
    pub previous: Option<SecretString>,
    pub read_at: Timestamp,
}

impl SigningKeys {
    /// Returns the key with this id.
    pub fn named(&self, id: &str) -> Option<&SecretString> {
        [Some(&self.current), self.previous.as_ref()].into_iter().flatten().find(|key| key_id(key) == id)
    }
}

pub(crate) fn key_id(key: &SecretString) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(key.expose_secret().as_bytes())[..6])
}
