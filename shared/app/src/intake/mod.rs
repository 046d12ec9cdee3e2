//! How a message enters the queue: enqueue, a consumer user's message, and idempotency keys.

pub mod enqueue;
pub mod idempotency;
pub mod send;
