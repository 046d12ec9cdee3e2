//! One message of a user: shown and cancelled.

pub mod cancel;
pub mod get;
