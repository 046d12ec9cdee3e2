//! The queue: in figures and as lists, and what mends it.

pub mod cancel;
pub mod list;
pub mod recover;
pub mod retry;
pub mod retry_all;
pub mod stats;
pub mod why;
