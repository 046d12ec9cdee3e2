//! Use cases: load, decide (in `af_domain`), commit, effects. One use case a file.

pub mod agents;
pub mod audit;
pub mod auth;
pub mod backlog;
pub mod bindings;
pub mod boot;
pub mod bridge;
mod cache;
pub mod clock;
pub mod conversations;
pub mod counting;
pub mod enqueue;
pub mod entropy;
mod environment;
mod error;
pub mod expiry;
pub mod hydrate;
pub mod ingress;
pub mod keys;
pub mod policies;
pub mod provider;
pub mod queue;
pub mod reconcile;
pub mod secrets;
pub mod send;
pub mod skills;
pub mod snapshots;
pub mod telegram_bots;
pub mod views;
pub mod wire;
pub mod worker;
pub mod worker_token;
pub mod workers;

pub use boot::{App, Boot, BootError, Env};
pub use error::AppError;
