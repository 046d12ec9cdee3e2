//! The local stack and its parts.
#![allow(clippy::unwrap_used, reason = "all of this is tests, their helpers included")]

mod objects;
mod streams;
mod telegram;
