//! Shared runtime services: the clock, randomness, a small cache, files that are replaced in one step, metrics, and
//! the environment of a function. The emulators use them, too.

pub mod atomic_file;
pub mod cache;
pub mod clock;
pub mod entropy;
pub mod env;
pub mod metric;
pub mod time;
pub mod virtual_clock;
