//! The conventions of every API, tested through a router.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod auth_limit;
mod body;
mod identity;
mod lambda;
mod pages;
mod parameters;
mod problems;
mod requests;
mod support;
