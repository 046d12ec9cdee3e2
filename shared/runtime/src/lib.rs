//! Shared runtime services: the clock, randomness, a small cache and the environment of a function. The
//! emulators use them, too.

pub mod cache;
pub mod clock;
pub mod entropy;
pub mod env;
