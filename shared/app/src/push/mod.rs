//! Push: templates, jobs, their dispatch, and broadcasts.

pub mod broadcasts;
mod deadline;
mod dispatch_job;
pub mod dispatches;
mod fan_out;
pub mod jobs;
mod message;
pub mod run_due;
mod targets;
pub mod templates;
pub mod trigger;

/// Calls that are tried again because another call has changed the same items meanwhile.
const MAX_TRIES: usize = 5;
