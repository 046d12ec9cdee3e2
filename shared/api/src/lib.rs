//! The wire types of the HTTP API: what a route takes and what it answers, one file for each domain. JSON is camelCase,
//! times are epoch milliseconds. Functions serialize these types, the command line, the reference worker and the tests
//! read them.

pub mod agents;
pub mod bindings;
pub mod broadcasts;
pub mod conversations;
pub mod events;
pub mod health;
pub mod id;
pub mod ingress_config;
pub mod keys;
pub mod managed_bots;
pub mod message_config;
pub mod messages;
pub mod onboarding;
pub mod outbox;
pub mod pages;
pub mod pairing;
pub mod policies;
pub mod problem;
pub mod provider;
pub mod push;
pub mod queue;
pub mod reconcile;
pub mod schedule;
pub mod secret_text;
pub mod secrets;
pub mod skills;
pub mod snapshots;
pub mod telegram;
pub mod templates;
pub mod user_agents;
pub mod user_messages;
pub mod user_tokens;
pub mod worker;
pub mod workers;
