//! Commands over the API, one noun a file.

pub mod agents;
pub mod bindings;
pub mod bots;
pub mod broadcast;
pub mod call;
pub mod chat;
pub mod config;
pub mod conversations;
pub mod doctor;
pub mod login;
pub mod logs;
pub mod outbox;
pub mod pairing;
pub mod provider;
pub mod push;
pub mod queue;
pub mod secrets;
pub mod skills;
pub mod status;
pub mod templates;
pub mod usage;
pub mod users;
pub mod watch;
pub mod worker;
pub mod workers;
