//! One endpoint a file.

pub mod agents;
pub mod conversations;
pub mod deployment;
pub mod keys;
pub mod message_config;
pub mod messages;
pub mod policies;
pub mod provider;
pub mod provider_config;
pub mod queue;
pub mod secrets;
pub mod skills;
pub mod telegram_webhooks;
pub mod workers;
