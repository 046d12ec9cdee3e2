//! Global skills: operators deploy and release them, workers fetch them.
//!
//! Each change is decided on the state that was read, and committed on condition of its revisions. A call
//! that is repeated after a lost response finds the change made, and returns the same result.

mod activate;
mod change;
mod delete;
mod deploy;
mod front_matter;
mod list;
mod manifest;
mod status;

pub use activate::activate;
pub use delete::delete;
pub use deploy::deploy;
pub use list::{get, list, version, versions};
pub(crate) use manifest::WORKSPACE_ID;
pub use manifest::{Fetched, manifest};
pub use status::set_status;
