//! Pure rules of the system: ids, conversations, leases, workers, policies and the pool planner.
//!
//! This crate reads no clock, draws no random numbers, and does no serialisation and no I/O. The current time and every
//! random number are parameters, and every decision is a return value.

pub mod agent;
pub mod attachment;
pub mod attempt;
pub mod bridge;
pub mod context;
pub mod conversation;
pub mod document;
pub mod follow;
pub mod ids;
pub mod ingress;
pub mod json_text;
pub mod ledger;
pub mod managed_bot;
pub mod media;
pub mod message;
mod named;
pub mod notice;
pub mod onboarding;
pub mod outbox;
pub mod pairing;
pub mod policy;
pub mod pool;
pub mod push;
pub mod refusal;
pub mod skill;
pub mod snapshot;
pub mod template;
pub mod time;
pub mod transcript;
pub mod upload;
pub mod usage;
pub mod user_agent;
pub mod worker;
