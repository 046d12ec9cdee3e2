//! Reconcile: observe, plan, execute. Only one run is active at a time. A trigger that finds a running one marks the lease
//! dirty, and the running one runs again.

mod budget;
mod execute;
mod machines;
mod measure;
mod observe;
mod orphan;
mod report;
mod run;
mod spawn;
mod stored_report;
mod teardown;
mod waiting;

pub use budget::InvocationLimits;
pub use run::{Reconciled, dry_run, last_report, reconcile, reconcile_within};
