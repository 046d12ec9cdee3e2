//! What workers ask for: the use cases behind both faces of the worker contract.

pub mod bundle;
mod claim;
mod claiming;
mod control;
mod heartbeat;
mod history;
mod hydrate;
mod metadata;
mod poll;
mod queued;
mod ready;
mod settle;
mod stop;
mod transcript;
mod words;

pub use claim::claim;
pub use control::control;
pub use heartbeat::{Beat, heartbeat};
pub use history::append;
pub use hydrate::hydrate;
pub use metadata::attach;
pub use poll::{Poll, Polled, alive, expired, may_still_ask, poll};
pub use queued::has_queued;
pub use settle::{Failed, complete, fail, leave};
pub use stop::should_stop;
pub use transcript::{Transcribed, reply_under, transcribe};
pub(crate) use words::in_words;

use af_domain::conversation::{Conversation, OwnerState};
use af_domain::ids::{ConversationId, WorkerId};
use af_domain::policy::Policies;
use af_domain::refusal::{Code, Refusal};
use af_domain::time::Timestamp;
use af_domain::worker::{Assignment, Worker, WorkerStatus};

use crate::{App, AppError};

/// What a worker is told about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Control {
    /// It shall finish what it runs, and leave.
    pub should_stop: bool,
    /// Why.
    pub reasons: Vec<&'static str>,
    /// When it must be gone.
    pub drain_by: Option<Timestamp>,
    /// The conversation that it shall let go of: that one is quiet and others wait. It may not know that it owns it.
    pub switch: Option<ConversationId>,
}

impl Control {
    fn stop(reason: &'static str) -> Self {
        Self { should_stop: true, reasons: vec![reason], ..Self::default() }
    }

    /// What a worker is told by its row; without one its life is over.
    fn of_row(row: Option<&Worker>) -> Self {
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

    /// What it is told as `of_owner` says, and until when it may take where it leaves, which its row knows.
    async fn of_owner_until(
        app: &App,
        conversation: &Conversation,
        worker: &WorkerId,
        policies: &Policies,
    ) -> Result<Self, AppError> {
        let control = Self::of_owner(conversation, worker, policies, app.now());
        if !control.should_stop {
            return Ok(control);
        }
        let row = app.store.worker_now(worker).await?;
        Ok(Self { drain_by: Self::of_row(row.as_ref()).drain_by, ..control })
    }

    /// What the owner of `conversation` is told. Its silence is judged on what stood there before this call.
    fn of_owner(conversation: &Conversation, worker: &WorkerId, policies: &Policies, now: Timestamp) -> Self {
        let Some(owner) = conversation.owner.as_ref().filter(|o| &o.worker == worker) else {
            return Self::stop("not_assigned");
        };
        if owner.state == OwnerState::Draining {
            return Self::stop("draining");
        }
        let quiet = !conversation.is_busy(now, policies);
        let quiet_for = now.since(conversation.active_at.max(owner.assigned_at));
        let switch = owner.wanted_elsewhere && quiet && quiet_for >= policies.scaling.switch_after_quiet;
        Self { switch: switch.then(|| conversation.id.clone()), ..Self::default() }
    }
}

/// What `worker` is assigned to.
///
/// # Errors
/// 401 when it has stopped; when its row cannot be read.
pub async fn assignment(app: &App, worker: &WorkerId) -> Result<Option<Assignment>, AppError> {
    // Strongly: a worker that has just been registered must not be told that it has stopped.
    let row = app.store.worker_now(worker).await?.filter(|row| row.status.is_live());
    Ok(row.ok_or_else(revoked)?.assignment)
}

/// A worker whose life is over: its token opens nothing any more.
pub(crate) fn revoked() -> Refusal {
    Refusal::new(Code::Unauthorized, "this worker has stopped, and its token with it")
}
