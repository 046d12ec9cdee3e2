//! Files that an agent makes or fetches.

pub mod announce;
pub mod get;
