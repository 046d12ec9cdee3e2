//! Global skills: folders of text files that every worker receives.
//!
//! ```text
//! deploy ──► version (a bundle of files, never changed) ──► active release of a channel ──► manifest ──► workers
//!                                                   activate ──┘ again, also an earlier one
//! ```
//!
//! **Invariants**
//! - A version's bundle, entry point and module format never change.
//! - A skill has at most one active release on a channel. A channel serves the active releases of the skills
//!   that are not disabled, limited to what fits into one response ([`channel`]).
//! - A skill in state `Deleting` is not served, and no version can be deployed to it until it is gone.

pub mod bundle;
pub mod channel;
mod definition;

pub use definition::{
    DeployedVersion, Edition, LAYOUT_VERSION, MANAGED_BY, MARKER, ModuleFormat, Release, ReleaseChannel,
    Skill, SkillStatus, Stamp,
};
