//! Telegram: bots and their webhooks, and the way of an update into the queue.

pub mod bots;
pub mod ingress;
