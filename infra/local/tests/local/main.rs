//! The stack and its parts together.
#![allow(clippy::unwrap_used, reason = "all of this is tests and their helpers")]

mod console;
mod objects;
mod shutdown;
mod streams;
mod telegram;
