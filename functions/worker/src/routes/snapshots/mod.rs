//! A conversation's files: kept for the worker after this one.

pub mod fail;
pub mod finalize;
pub mod latest;
pub mod prepare;
