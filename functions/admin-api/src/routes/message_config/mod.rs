//! The message config: what every message is handed to its worker with.

pub mod get;
pub mod put;
