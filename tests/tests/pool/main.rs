//! The worker pool as a whole: reconcile, the Fly stand-in, workers that do what the reference worker does, and a
//! function that dies or freezes at every step of the way.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod crashes;
mod crew;
mod faults;
mod freezes;
mod local;
mod mishaps;
mod prerequisites;
mod providers;
mod returns;
mod stand;
mod steps;
mod story;
mod timeline;
mod triggers;
mod world;

#[allow(clippy::print_stderr, reason = "figures for whoever runs this by hand")]
fn report(line: &str) {
    eprintln!("{line}");
}
