//! The operator's view of the queue: counters, lists, cancel, retry, and the reason why a message waits.

pub mod backlog;
mod cancel;
pub mod counters;
pub mod ledger;
mod list;
mod messages;
pub mod overview;
pub mod payload_ttl;
mod retry;
mod retry_all;
mod stats;
mod version;
pub(crate) mod why;

pub use cancel::{Cancelled, cancel, cancel_all, cancel_of_user};
pub use list::{dead_letters, of_conversation};
pub use retry::retry;
pub use retry_all::{Which, retry_all};
pub use stats::stats;
pub use version::version;
pub use why::{WaitsFor, Why, why};
