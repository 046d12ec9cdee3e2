//! AWS as the functions use it: clients with timeouts chosen on purpose, secrets and objects.

mod config;
pub mod objects;
pub mod secrets;

pub use config::{retries, sdk_config, timeouts};
