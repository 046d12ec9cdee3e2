//! Where workers run: the provider config, the provider that it names, and the calls of an operator.

pub mod cleanup;
pub mod config;
pub(crate) mod deadline;
pub mod readiness;
mod refusal;
pub(crate) mod target;
pub(crate) mod token_source;
pub mod volume;

pub use config::configure;
