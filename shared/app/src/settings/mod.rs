//! Settings of the deployment: policies, the message config, secrets and the public URL.

pub(crate) mod base_url;
pub(crate) mod document;
pub mod message_config;
mod message_settings;
pub mod policies;
pub mod public_url;
pub mod secrets;
