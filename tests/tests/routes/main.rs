//! The routes as callers see them: over the gateway, with the routes of the template. Also the secrets and the template
//! itself.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod api;
mod console;
mod contract;
mod least_privilege;
mod metrics;
mod secret_scan;
mod snapshots;
mod stored_secrets;
mod stream;
mod template_runs;
mod worker;
