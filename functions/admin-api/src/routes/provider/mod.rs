//! The provider that runs workers.

pub mod cleanup;
pub mod readiness;
pub mod volume;
