//! The environment variables that a function starts with.

use std::collections::BTreeMap;

/// An environment variable that a function needs is missing or empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable {0} is missing")]
pub struct MissingVariable(pub &'static str);

/// A function's environment variables.
#[derive(Clone, Debug, Default)]
pub struct Env(BTreeMap<String, String>);

impl Env {
    /// The process's own environment.
    pub fn of_process() -> Self {
        Self(std::env::vars().collect())
    }

    /// The variable `name`, if it is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// The variable `name`.
    ///
    /// # Errors
    /// When it is missing or empty.
    pub fn require(&self, name: &'static str) -> Result<&str, MissingVariable> {
        self.get(name).ok_or(MissingVariable(name))
    }
}

impl From<BTreeMap<String, String>> for Env {
    fn from(variables: BTreeMap<String, String>) -> Self {
        Self(variables)
    }
}
