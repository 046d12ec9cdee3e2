//! `agent-factory dev` with real processes: the program itself, its workers, kills and restarts.
//!
//! These tests stand beside the program because only its own package's tests are handed its path.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod bridge;
mod crashes;
mod files;
mod fly;
mod idle;
mod loop_;
mod many;
mod skills;
mod support;
