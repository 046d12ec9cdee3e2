//! The worker pool as a whole: reconcile, the Fly emulator, workers that act like the reference worker, and a function
//! that dies or freezes at each of its steps.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod backend;
mod crashes;
mod fault_isolation;
mod faults;
mod fleet;
mod freezes;
mod local_provider;
mod prerequisites;
mod providers;
mod restored_files;
mod scenario;
mod timeline;
mod triggers;
mod world;

#[allow(clippy::print_stderr, reason = "figures for a manual run")]
fn report(line: &str) {
    eprintln!("{line}");
}
