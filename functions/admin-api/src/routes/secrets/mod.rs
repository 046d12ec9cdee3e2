//! Secrets: imported, looked at, deleted. No answer ever holds a value.

pub mod delete;
pub mod put;
pub mod status;
