//! The Telegram emulator over loopback connections, and our Bot API client against it.

mod bot_api;
mod client;
mod drafts;
mod managed;
mod polling;
mod push;
mod restart;
mod support;
