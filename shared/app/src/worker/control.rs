//! Control state: what every answer tells a worker about itself.

use af_domain::conversation::{Conversation, OwnerState};
use af_domain::ids::{ConversationId, WorkerId};
use af_domain::policy::Policies;
use af_domain::time::Timestamp;
use af_domain::worker::{Worker, WorkerStatus};

use crate::{App, Result};

/// The control state of a worker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Control {
    /// Whether the worker must finish its message and leave.
    pub should_stop: bool,
    /// Why.
    pub reasons: Vec<&'static str>,
    /// When the worker must have left.
    pub drain_by: Option<Timestamp>,
    /// The conversation that the worker is asked to release, because it is quiet and others wait. The worker may not know
    /// that it owns it.
    pub switch: Option<ConversationId>,
}

impl Control {
    /// The worker must stop.
    pub(super) fn stop(reason: &'static str) -> Self {
        Self { should_stop: true, reasons: vec![reason], ..Self::default() }
    }

    /// The control state that follows from a worker's row. A worker without a row has stopped.
    pub(super) fn of_row(row: Option<&Worker>) -> Self {
        match row.map(|row| &row.status) {
            Some(WorkerStatus::Active) => Self::default(),
            Some(WorkerStatus::Draining { drain_by, .. }) => {
                Self { drain_by: Some(*drain_by), ..Self::stop("draining") }
            }
            Some(WorkerStatus::Stopping { .. } | WorkerStatus::Stopped { .. }) | None => {
                Self::stop("unknown_worker")
            }
        }
    }

    /// The control state of the owner of `conversation`, with the end of its drain. Only the worker's row has that, so it is
    /// read when the worker must stop.
    pub(super) async fn of_owner_until(
        app: &App,
        conversation: &Conversation,
        worker: &WorkerId,
        policies: &Policies,
    ) -> Result<Self> {
        let control = Self::of_owner(conversation, worker, policies, app.now());
        if !control.should_stop {
            return Ok(control);
        }
        let row = app.store.worker_now(worker).await?;
        Ok(Self { drain_by: Self::of_row(row.as_ref()).drain_by, ..control })
    }

    /// The control state of the owner of `conversation`. `switch` is only a question here: [`should_switch`] answers it.
    ///
    /// [`should_switch`]: super::ready::should_switch
    pub(super) fn of_owner(
        conversation: &Conversation,
        worker: &WorkerId,
        policies: &Policies,
        now: Timestamp,
    ) -> Self {
        let Some(owner) = conversation.owner.as_ref().filter(|o| &o.worker == worker) else {
            return Self::stop("not_assigned");
        };
        if owner.state == OwnerState::Draining {
            return Self::stop("draining");
        }
        let switch = owner.wanted_elsewhere && !conversation.is_busy(now, policies);
        Self { switch: switch.then(|| conversation.id.clone()), ..Self::default() }
    }
}
