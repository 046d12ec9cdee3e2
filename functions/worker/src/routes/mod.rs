//! The native contract, one endpoint a file.

pub mod bundle;
pub mod claim;
pub mod complete;
pub mod control;
pub mod documents;
pub mod fail;
pub mod heartbeat;
pub mod history;
pub mod media;
pub mod metadata;
pub mod poll;
pub mod skills;
pub mod snapshots;
