//! Snapshots: archives of a worker's files for the next worker of the conversation.
//!
//! Files are transferred between worker and bucket by presigned URLs, except for those of published images.
//! This module contains only items and decisions.

mod expire;
mod fail;
mod final_snapshot;
mod finalize;
mod latest;
mod list;
mod ownership;
mod prepare;
mod receive;
mod skip;

pub use expire::expire;
pub use fail::fail;
pub use final_snapshot::{fail_and_leave, finalize_and_leave};
pub use finalize::finalize;
pub(crate) use latest::fetched;
pub use latest::{latest, to_restore};
pub use list::{latest_of_user, of_conversation, of_user};
pub use ownership::object_key;
pub use prepare::{Announced, prepare, prepare_unannounced};
pub use receive::receive;
pub use skip::{skip_by_operator, skip_unrestorable};
