//! The Telegram stand-in over real loopback connections, and our Bot API client against it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so best by failing where it stands")]

mod bot_api;
mod client;
mod push;
mod restart;
mod support;
