//! `agent-factory dev` with real processes: the program itself, its workers, kills and restarts.
//!
//! These tests are in the package of the program, because only they get the path of the binary from cargo.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod bridge;
mod crashes;
mod documents;
mod files;
mod fly;
mod guide;
mod idle;
mod latency;
mod managed_bots;
mod message_order;
mod model;
mod operator;
mod outbox;
mod pairing;
mod profiles;
mod push;
mod real_bot;
mod replies;
mod shutdown;
mod skills;
mod support;
mod terminal;
mod token;
mod users;
