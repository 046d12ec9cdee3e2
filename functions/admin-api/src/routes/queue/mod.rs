//! The queue: in figures and as lists.

pub mod list;
pub mod recover;
pub mod stats;
