//! Use cases: load, decide (in `af_domain`), commit, and trigger effects. Each use case is one file, in a
//! folder per domain.

pub mod access;
pub mod agents;
mod boot;
pub mod conversations;
mod error;
pub mod files;
pub mod intake;
pub mod pool;
pub mod queue;
pub mod settings;
pub mod skills;
pub mod telegram;
pub mod worker;

pub use boot::{App, Boot, BootError};
pub use error::AppError;
