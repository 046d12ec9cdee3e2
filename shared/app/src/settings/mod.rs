//! Settings of the deployment: policies, the message config, the ingress config, secrets and the public URL.

pub(crate) mod base_url;
pub(crate) mod document;
pub mod ingress_config;
pub(crate) mod ingress_settings;
pub mod message_config;
pub(crate) mod message_settings;
pub(crate) mod overrides;
pub mod policies;
pub(crate) mod prerequisite;
pub mod prices;
pub mod public_url;
pub mod secrets;
