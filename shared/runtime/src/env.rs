//! The environment variables of a function.

use std::collections::BTreeMap;

/// A required environment variable is missing or empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable {0} is missing")]
pub struct MissingVariable(pub &'static str);

/// The environment variables of a function.
#[derive(Clone, Debug, Default)]
pub struct Env(BTreeMap<String, String>);

impl Env {
    /// Returns the environment of this process.
    pub fn of_process() -> Self {
        Self(std::env::vars().collect())
    }

    /// Returns the variable `name`, if it is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// Returns the variable `name`, or an error if it is missing or empty.
    pub fn require(&self, name: &'static str) -> Result<&str, MissingVariable> {
        self.get(name).ok_or(MissingVariable(name))
    }
}

impl From<BTreeMap<String, String>> for Env {
    fn from(variables: BTreeMap<String, String>) -> Self {
        Self(variables)
    }
}
