//! Telegram: bots, their webhooks, commands, and the intake of updates.

pub mod bots;
pub mod commands;
pub mod ingress;
