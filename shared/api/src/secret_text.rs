//! Secret values in request bodies.

use secrecy::{ExposeSecret, SecretString};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Broken characters of a body become U+FFFD. A secret with one would not be the secret that the caller has.
const REPLACED: &str = "must not have the character U+FFFD, which replaces broken characters";

/// A secret in a request body. `Debug` redacts it; only serializing it exposes it.
#[derive(Clone, Debug)]
pub struct SecretText(pub SecretString);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.contains(char::REPLACEMENT_CHARACTER) {
            return Err(D::Error::custom(REPLACED));
        }
        Ok(Self(text.into()))
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose_secret())
    }
}
