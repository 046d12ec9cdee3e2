//! Use cases: load, decide (in `af_domain`), commit, and trigger effects. Each use case is one file, in a
//! folder per domain.
//!
//! # Errors
//! Every use case returns an error if the table, or another service that it needs, does not answer, or if stored
//! data cannot be read. The documentation of a use case names only its refusals.

pub mod access;
pub mod agents;
mod boot;
pub mod conversations;
pub mod documents;
mod error;
pub mod files;
pub mod intake;
pub mod outbox;
pub mod pool;
pub mod push;
pub mod queue;
pub mod settings;
pub mod skills;
pub mod telegram;
pub mod worker;

pub use boot::{App, Boot, BootError};
pub use error::{AppError, Result};
