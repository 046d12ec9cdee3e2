//! Conversations, as operators and as users see them.

pub mod consistency;
pub mod events;
mod free;
mod get;
pub(crate) mod hold;
pub mod read_models;
pub(crate) mod recover;
pub(crate) mod repair;
pub mod view;

pub use free::free;
pub use get::get;
