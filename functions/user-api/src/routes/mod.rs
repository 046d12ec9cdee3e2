//! One endpoint a file.

pub mod binding;
pub mod conversation;
pub mod message;
pub mod snapshots;
