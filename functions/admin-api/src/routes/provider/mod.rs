//! The place where workers run.

pub mod cleanup;
pub mod readiness;
pub mod volume;
