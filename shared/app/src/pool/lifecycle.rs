//! The lifecycle of a worker between `active` and `stopping`: drain it, wait for its message and its final snapshot, and
//! release its conversation.

use af_domain::conversation::Conversation;
use af_domain::ids::WorkerId;
use af_domain::policy::Policies;
use af_domain::worker::{DrainReason, Worker, WorkerStatus};
use af_runtime::metric::Metric;

use super::outcome::Outcome;
use crate::settings::policies;
use crate::{App, Result};

/// Attempts to drain and finish one worker while other writers change its row: each change takes one attempt.
const MAX_LEAVE_ATTEMPTS: usize = 5;

/// Drains a worker if it is still active and `reason` still holds.
pub(crate) async fn drain(
    app: &App,
    id: &WorkerId,
    reason: DrainReason,
    policies: &Policies,
) -> Result<Outcome> {
    let now = app.now();
    let Some(worker) = app.store.worker(id).await? else { return Ok(Outcome::Stale) };
    let owned = owned_by(app, &worker).await?;
    let busy = owned.as_ref().is_some_and(|c| c.is_busy(now, policies));
    let token_ends = reason == DrainReason::TokenEnds;
    let can_wait = reason.wants_quiet() || (token_ends && !worker.must_leave_for_its_token(now, policies));
    if can_wait && busy {
        return Ok(Outcome::Stale);
    }
    let on_conversation = owned.as_ref().and_then(|c| c.owner.as_ref()).and_then(|o| o.seen_at);
    if reason == DrainReason::Stale && !worker.is_stale(worker.seen_at.max(on_conversation), now, policies) {
        return Ok(Outcome::Stale);
    }
    let Ok(drained) = worker.drain(reason, now, policies) else { return Ok(Outcome::Stale) };
    tracing::info!(worker = %id, %reason, "worker drains");
    Ok(app.store.drain_if_active(&drained, owned.as_ref(), policies).await?.into())
}

/// The state of the final snapshot that a draining worker may owe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FinalSnapshot {
    /// The worker may upload it until its deadline.
    Awaited,
    /// The worker is gone, so no snapshot can come.
    Lost,
    /// The worker reports that it has no files to keep.
    Waived,
}

/// Ends the drain of a worker: its row goes to `stopping` and its conversation is released. Waits for a running message,
/// and for the final snapshot until the worker's deadline.
pub(crate) async fn finish_drain(
    app: &App,
    id: &WorkerId,
    snapshot: FinalSnapshot,
    policies: &Policies,
) -> Result<Outcome> {
    let now = app.now();
    let Some(worker) = app.store.worker(id).await? else { return Ok(Outcome::Stale) };
    let WorkerStatus::Draining { drain_by, .. } = worker.status else { return Ok(Outcome::Stale) };
    let owned = owned_by(app, &worker).await?;
    let owes = owned.as_ref().is_some_and(Conversation::owes_snapshot);
    if owes && snapshot == FinalSnapshot::Awaited && now < drain_by {
        return Ok(Outcome::Waiting("its final snapshot".to_owned()));
    }
    let Ok(mut stopping) = worker.finish_drain(owned.as_ref(), now) else { return Ok(Outcome::Stale) };
    stopping.snapshot_missed = owes && snapshot != FinalSnapshot::Waived;
    let freed = match &owned {
        None => None,
        Some(before) => match before.released_by(id, now, policies) {
            Some(after) => Some((before, after)),
            None => return Ok(Outcome::Waiting("its message to end".to_owned())),
        },
    };
    let freed = freed.as_ref().map(|(before, after)| (*before, after));
    let outcome: Outcome = app.store.finish_drain_if_draining(&stopping, freed, policies).await?.into();
    // A worker that still waits for its message, or that another call has changed, has not left.
    if stopping.snapshot_missed && outcome == Outcome::Done {
        Metric::SnapshotMissed.count();
        tracing::warn!(worker = %id, "a worker leaves without its final snapshot");
    }
    Ok(outcome)
}

/// The conversation that names `worker` as its owner, as it is now.
async fn owned_by(app: &App, worker: &Worker) -> Result<Option<Conversation>> {
    let Some(assignment) = &worker.assignment else { return Ok(None) };
    let conversation = app.store.conversation(&assignment.key, true).await?;
    Ok(conversation.filter(|c| c.is_owned_by(&worker.id)))
}

/// Drains a worker on its own request and finishes the drain where nothing is left to wait for. Reconcile does the rest,
/// also when this process dies in between.
pub(crate) async fn drain_and_finish(app: &App, worker: &WorkerId, last: FinalSnapshot) -> Result<()> {
    let policies = policies::in_force(app).await?;
    for _ in 0..MAX_LEAVE_ATTEMPTS {
        let row = app.store.worker_now(worker).await?;
        if !row.is_some_and(|row| row.status.is_live()) {
            return Ok(());
        }
        drain(app, worker, DrainReason::Signal, &policies).await?;
        if let Outcome::Waiting(_) = finish_drain(app, worker, last, &policies).await? {
            return Ok(());
        }
    }
    Ok(())
}
