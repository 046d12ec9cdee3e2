//! The start of workers: which of them have given no sign of life yet, and whether failures are over. A provider may start a
//! machine in which no worker ever comes up, so only the worker's first sign of life counts.

use super::{Action, Image, Observed, ObservedWorker, ReconcileState};
use crate::worker::{DrainReason, Worker, WorkerStatus};

impl Image {
    /// How the worker differs from a worker that would be started now.
    pub(super) fn difference(&self, worker: &Worker) -> Option<String> {
        if self.provider != worker.provider {
            return None;
        }
        if let Some(machine) = worker.machine.as_ref().filter(|m| m.app != self.app) {
            return Some(format!("it runs in app {}, the config names {}", machine.app, self.app));
        }
        let image = worker.image.as_ref().filter(|image| **image != self.name)?;
        Some(format!("it runs {image}, the config names {}", self.name))
    }
}

impl Observed {
    /// The state of the last run. Failures are over when a worker that was started after the last failure gives a sign of
    /// life.
    pub fn state_now(&self) -> ReconcileState {
        let mut state = self.state.clone();
        let has_come_up = |w: &ObservedWorker| {
            let started_since = state.failed_at.is_some_and(|at| w.worker.registered_at > at);
            started_since && self.is_started_by_us(w) && w.last_sign_of_life().is_some()
        };
        if self.workers.iter().any(has_come_up) {
            (state.failures, state.failed_at) = (0, None);
        }
        state
    }

    /// Whether an action drains a worker that was started and never gave a sign of life.
    pub fn drains_silent_worker(&self, action: &Action) -> bool {
        let Action::Drain { worker, reason } = action else { return false };
        matches!(reason, DrainReason::Stale | DrainReason::MachineGone | DrainReason::Signal)
            && self.workers.iter().any(|w| {
                &w.worker.id == worker && self.is_started_by_us(w) && w.last_sign_of_life().is_none()
            })
    }

    /// The number of workers of the current image that have given no sign of life yet. They may or may not come up.
    pub(super) fn coming_up(&self) -> usize {
        let is_current =
            |w: &&ObservedWorker| self.image.as_ref().is_some_and(|i| i.difference(&w.worker).is_none());
        let silent = self.workers.iter().filter(|w| {
            w.worker.status == WorkerStatus::Active
                && w.last_sign_of_life().is_none()
                && self.is_started_by_us(w)
        });
        silent.filter(is_current).count()
    }

    fn is_started_by_us(&self, observed: &ObservedWorker) -> bool {
        self.image.as_ref().is_some_and(|image| image.provider == observed.worker.provider)
    }
}
