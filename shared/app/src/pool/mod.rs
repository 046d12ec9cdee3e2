//! The worker pool: workers' rows and their lifecycle, reconcile, and the provider that runs the machines.

pub(crate) mod lifecycle;
pub(crate) mod outcome;
pub mod provider;
pub mod reconcile;
mod worker_environment;
pub mod workers;
