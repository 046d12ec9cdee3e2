//! Telegram: bots, their webhooks, and the intake of updates.

pub mod bots;
pub mod ingress;
