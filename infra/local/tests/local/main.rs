//! The stack and what it is made of, put together.
#![allow(clippy::unwrap_used, reason = "all of this is tests, their helpers included")]

mod objects;
mod streams;
mod telegram;
