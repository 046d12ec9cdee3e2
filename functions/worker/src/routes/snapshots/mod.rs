//! Snapshots of a conversation's files, which the next worker restores.

pub mod fail;
pub mod finalize;
pub mod latest;
pub mod prepare;
pub mod skip;
