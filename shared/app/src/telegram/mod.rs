//! Telegram: bots, their webhooks, and the intake of updates.

mod albums;
pub mod bots;
mod edits;
mod handled;
pub mod ingress;
mod messages;
mod payload;
mod route;
