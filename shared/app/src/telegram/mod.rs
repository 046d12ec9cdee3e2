//! Telegram: bots, their webhooks, commands, and the intake of updates.

mod albums;
pub mod bots;
pub mod commands;
pub mod drafts;
mod edits;
mod handled;
pub mod ingress;
pub mod managed_bots;
pub(crate) mod messages;
pub(crate) mod notices;
mod payload;
mod route;
mod stop;
