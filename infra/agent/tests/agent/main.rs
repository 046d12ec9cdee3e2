//! The reference worker against a fake of the worker routes and of the Bot API.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod command;
mod documents;
mod files;
mod once;
mod openai;
mod openclaw;
mod server;
mod skills;
mod support;
