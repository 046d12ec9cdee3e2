//! The metrics of a reconcile run.

use af_api::reconcile::Report;
use af_domain::pool::{Action, Planned};
use af_domain::time::Timestamp;
use af_domain::worker::WorkerStatus;
use af_runtime::metric::Metric;

use super::observe::Observation;
use crate::pool::outcome::Outcome;

/// Records what became of the actions of one run.
pub(super) fn record_actions(actions: &[(Planned, Option<Outcome>)]) {
    for (planned, outcome) in actions {
        let failed = matches!(
            outcome,
            Some(Outcome::Failed(_) | Outcome::SpawnFailed(_) | Outcome::RateLimited { .. })
        );
        match (&planned.action, outcome) {
            (Action::Spawn { .. }, Some(Outcome::Done)) => Metric::WorkerStarted.count(),
            (Action::Spawn { .. }, _) if failed => Metric::SpawnFailed.count(),
            (Action::Teardown { .. }, Some(Outcome::Done)) => Metric::WorkerRemoved.count(),
            (Action::Teardown { .. }, _) if failed => Metric::TeardownFailed.count(),
            _ => {}
        }
        if let Some(Outcome::RateLimited { .. }) = outcome {
            Metric::ProviderThrottled.count();
        }
    }
}

/// Records the state of the pool that the last run of an invocation leaves, and the duration of the invocation.
pub(super) fn record_report(report: &Report, observation: &Observation, began: Timestamp, now: Timestamp) {
    let (mut active, mut draining, mut stopping) = (0, 0, 0);
    for observed in &observation.observed.workers {
        match observed.worker.status {
            WorkerStatus::Active => active += 1,
            WorkerStatus::Draining { .. } => draining += 1,
            WorkerStatus::Stopping { .. } => stopping += 1,
            WorkerStatus::Stopped { .. } => {}
        }
    }
    Metric::WorkersActive.record(active);
    Metric::WorkersDraining.record(draining);
    Metric::WorkersStopping.record(stopping);
    Metric::ConversationsUnserved.record(report.unserved as u64);
    let since = report.oldest_waiting_since.map_or(now, Timestamp::from_millis);
    Metric::OldestWaitingAge.record(now.since(since).as_millis());
    Metric::ReconcileDuration.record(now.since(began).as_millis());
    if !report.errors.is_empty() {
        Metric::ReconcileIncomplete.count();
    }
}
