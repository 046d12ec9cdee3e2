//! Ids in bodies and queries, checked while they are read.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error};
use serde::{Serialize, Serializer};

/// A field that holds an id. Text that breaks the id's rule fails to deserialize, and the error states the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id<T>(pub T);

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Id<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.contains(char::REPLACEMENT_CHARACTER) {
            // Broken characters of a body become U+FFFD. Two different ids must not become the same id.
            return Err(D::Error::custom(
                "an id must not have the character U+FFFD, which replaces broken characters",
            ));
        }
        text.parse().map(Self).map_err(D::Error::custom)
    }
}

impl<T: AsRef<str>> Serialize for Id<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_ref())
    }
}
