//! Workspace documents: operators, apps and users edit them, workers receive them and send the edits of their agent.
//!
//! Each change is decided on the head of its set, which is read first, and committed on condition of it. A call that is
//! repeated after a lost response finds the text in place, and returns the same document.

mod change;
mod hydrate;
mod read;
mod run_edits;
mod scope;

pub use change::{delete, put};
pub use hydrate::{HydratedDocument, HydratedWorkspace, WorkspaceContent, WorkspaceWanted, of_run};
pub(crate) use hydrate::{agent_head, hydrate};
pub use read::{get, list, versions};
pub use run_edits::{MAX_RUN_EDITS, RunEditOutcome, store_run_edits};
pub use scope::{Scope, editor};

/// How often a change is decided again because the set changed.
const MAX_CHANGE_TRIES: usize = 10;
