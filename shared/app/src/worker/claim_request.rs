//! Who claims, and what the worker gets with the message.

use af_domain::ids::{HistoryCursor, WorkerId};
use af_domain::policy::Policies;

use crate::documents::WorkspaceWanted;

/// What a worker wants besides its control state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Wants {
    /// Nothing more: it runs a message.
    ControlOnly,
    /// The next message.
    #[default]
    Job,
    /// The next message with its bundle.
    JobWithBundle {
        /// The cursor of an earlier bundle.
        since: Option<HistoryCursor>,
        /// What the worker wants of the workspace.
        workspace: WorkspaceWanted,
    },
}

/// A claim by a worker.
#[derive(Clone, Copy)]
pub(super) struct ClaimRequest<'a> {
    pub worker: &'a WorkerId,
    pub wants: &'a Wants,
    pub policies: &'a Policies,
    /// Whether the worker restores files only when it boots. It may not become the owner of a conversation that has files:
    /// it would begin without them, and overwrite them with its final snapshot.
    pub restores_at_boot: bool,
}
