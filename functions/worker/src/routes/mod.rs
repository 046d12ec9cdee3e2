//! One endpoint a file.

pub mod complete;
pub mod fail;
pub mod heartbeat;
pub mod history;
pub mod poll;
pub mod skills;
pub mod snapshots;
