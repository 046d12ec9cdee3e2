//! AWS clients for the functions: configuration, secrets and objects.

mod config;
pub mod objects;
pub mod secrets;

pub use config::{retries, sdk_config, timeouts};
