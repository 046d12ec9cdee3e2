//! Policies: every number that tunes the system.

pub mod get;
pub mod put;
