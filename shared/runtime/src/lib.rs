//! What every crate above the domain may use, and what emulators use without the use cases: the clock, randomness, a
//! small cache and the environment of a function.

pub mod cache;
pub mod clock;
pub mod entropy;
pub mod env;
