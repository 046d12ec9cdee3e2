//! Helpers of the tests: a deployment in memory, calls to its functions, a Telegram emulator, and the workspace's
//! files.

pub mod bundle;
pub mod calls;
pub mod contract;
pub mod messages;
pub mod metrics;
pub mod push;
pub(crate) mod secret_scan;
pub mod steps;
pub mod telegram;
pub mod workspace;
pub mod world;
