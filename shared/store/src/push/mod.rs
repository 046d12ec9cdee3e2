//! Push templates, push jobs, their dispatches, and broadcasts.

mod broadcast;
mod dispatch;
mod job;
mod template;

pub use broadcast::{Advanced, Progress, RunningBroadcast, TargetSent};
pub use dispatch::{Dispatched, Run, Triggered};
pub use job::{DueCursor, DueJob, JobCreated, JobPlace};
