//! The provider config: where and how workers run.

pub mod get;
pub mod put;
mod wire;
