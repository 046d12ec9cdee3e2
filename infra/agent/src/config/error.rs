//! Errors in the environment.

/// Why the environment does not configure a worker.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigError {
    /// A variable is missing or blank.
    #[error("environment variable {0} is missing")]
    Missing(&'static str),
    /// A variable has an invalid value.
    #[error("environment variable {name} must be {rule}")]
    Invalid {
        /// The variable.
        name: &'static str,
        /// The rule for its value.
        rule: &'static str,
    },
}
