//! Secret values in bodies: never in `Debug`.

use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

/// Reads a text as a secret.
pub fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(Into::into)
}
