//! AWS clients for the functions: configuration, secrets and objects.
//!
//! # Errors
//! Every call returns an error if the service does not answer, and every presigned URL if it cannot be signed. The
//! documentation of a method names only further errors.

mod config;
pub mod objects;
pub mod secrets;

pub use config::{retries, sdk_config, timeouts};
