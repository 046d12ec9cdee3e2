//! The whole bundle on one machine: the template, run against embedded AWS.

mod atomic_file;
pub mod aws;
pub mod clock;
pub mod fly;
pub mod gateway;
pub mod invoke;
pub mod schedule;
pub mod stack;
pub mod stream;
pub mod telegram;
pub mod template;
