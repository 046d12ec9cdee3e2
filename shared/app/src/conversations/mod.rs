//! The operator's view of conversations.

pub mod consistency;
mod free;
mod get;
pub(crate) mod hold;
pub mod read_models;
pub(crate) mod recover;
pub(crate) mod repair;

pub use free::free;
pub use get::get;
