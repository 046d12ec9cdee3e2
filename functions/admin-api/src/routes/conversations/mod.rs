//! Conversations: shown, and taken from a worker that hangs.

pub mod free;
pub mod get;
