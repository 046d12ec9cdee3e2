//! Messages: enqueued and shown.

pub mod enqueue;
pub mod get;
