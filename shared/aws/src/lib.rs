//! AWS as the functions use it: clients with timeouts chosen on purpose, and secrets.

mod config;
pub mod secrets;

pub use config::{retries, sdk_config, timeouts};
