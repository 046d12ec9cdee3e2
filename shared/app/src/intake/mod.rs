//! Intake: enqueue, messages of consumer users and their templates, and idempotency keys.

pub mod enqueue;
pub mod idempotency;
pub mod send;
pub mod templates;
