//! Published images make a snapshot only when they leave: told to, idle, or on a signal. Often nobody has drained them, and
//! they say no more than that. With the end of it, good or bad, their row goes through draining to stopping.

use af_aws::objects::Objects;
use af_domain::ids::{SnapshotId, WorkerId};
use af_domain::snapshot::{FinalizeRefusal, Stored};
use af_domain::worker::DrainReason;

use super::{END_TRIES_MAX, fail, finalize, own, refused};
use crate::reconcile::{FinalSnapshot, Outcome, drain, settle};
use crate::{App, AppError, policies};

/// What a failure says when the gateway or Lambda refused the archive before our code ran.
const TOO_LARGE: &str = "snapshotTooLarge";
/// How images tell the status that an upload was answered with.
const STATUS_TOO_LARGE: &str = "[413]";

/// Finalizes a snapshot of `worker`, which says what it has uploaded, and lets it leave.
///
/// # Errors
/// As `finalize`; 409 too when what it says is not what has come.
pub async fn finalize_and_leave(
    app: &App,
    objects: &Objects,
    worker: &WorkerId,
    id: &SnapshotId,
    said: &Stored,
) -> Result<(), AppError> {
    let (snapshot, _) = own(app, worker, id).await?;
    if snapshot.content.as_ref().is_some_and(|content| content != said) {
        return Err(refused(FinalizeRefusal::Mismatch).into());
    }
    finalize(app, objects, worker, id).await?;
    leave(app, worker, FinalSnapshot::Awaited).await
}

/// Fails a snapshot of `worker`, and lets it leave.
///
/// # Errors
/// As `fail`.
pub async fn fail_and_leave(
    app: &App,
    worker: &WorkerId,
    id: &SnapshotId,
    error: &str,
) -> Result<(), AppError> {
    let (snapshot, _) = own(app, worker, id).await?;
    if snapshot.content.is_none() && error.contains(STATUS_TOO_LARGE) {
        tracing::warn!(
            metric = "snapshot_too_large",
            worker = %worker,
            snapshot = %id,
            "the archive of a snapshot was too large"
        );
        fail(app, worker, id, &format!("{TOO_LARGE}: {error}")).await?;
    } else {
        fail(app, worker, id, error).await?;
    }
    leave(app, worker, FinalSnapshot::Lost).await
}

/// Lets a worker leave. What is not done by the end of it, or of this process, reconcile does.
pub(super) async fn leave(app: &App, worker: &WorkerId, last: FinalSnapshot) -> Result<(), AppError> {
    let policies = policies::in_force(app).await?;
    for _ in 0..END_TRIES_MAX {
        let row = app.store.worker_now(worker).await?;
        if !row.is_some_and(|row| row.status.is_live()) {
            return Ok(());
        }
        drain(app, worker, DrainReason::Signal, &policies).await?;
        if let Outcome::Waiting(_) = settle(app, worker, last, &policies).await? {
            return Ok(());
        }
    }
    Ok(())
}
