//! The worker contract: what a worker sends with its token, and what it receives. [`compatible`] has the types for
//! published OpenClaw worker images; everything else here is the native contract.
//!
//! Types that carry a secret have no `Debug`.

pub mod compatible;
pub mod control;
pub mod documents;
pub mod history;
pub mod hydration;
pub mod media;
pub mod outcome;
pub mod poll;
pub mod skills;
pub mod snapshots;

/// The default of a flag that is set unless the caller clears it.
const fn yes() -> bool {
    true
}
