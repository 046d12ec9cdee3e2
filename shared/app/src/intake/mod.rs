//! Intake: enqueue, messages of consumer users, and idempotency keys.

pub mod enqueue;
pub mod idempotency;
pub mod send;
