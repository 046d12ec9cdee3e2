//! What every crate above the domain may use, and what emulators use without the use cases: the clock, randomness, a
//! small cache, files that are replaced whole, and the environment of a function.

pub mod atomic_file;
pub mod cache;
pub mod clock;
pub mod entropy;
pub mod env;
pub mod time;
pub mod virtual_clock;
