//! Workspace documents of a running message.

pub mod get;
pub mod put;
