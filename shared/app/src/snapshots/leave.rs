//! Published images leave by themselves, idle or on a signal, and say so only by the snapshot that they make before.
//! With the end of it, good or bad, their row goes through draining to stopping.

use af_aws::objects::Objects;
use af_domain::ids::{SnapshotId, WorkerId};
use af_domain::snapshot::{FinalizeRefusal, SnapshotReason, Stored};
use af_domain::worker::DrainReason;

use super::{fail, finalize, own, refused};
use crate::reconcile::{FinalSnapshot, drain, settle};
use crate::{App, AppError, policies};

/// What a failure says when no archive ever reached us: most likely one that the gateway or Lambda refused before our
/// code ran.
const TOO_LARGE: &str = "snapshotTooLarge";

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
    leave(app, worker, snapshot.reason, FinalSnapshot::Awaited).await
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
    if snapshot.content.is_none() {
        tracing::warn!(
            metric = "snapshot_too_large",
            worker = %worker,
            snapshot = %id,
            "the archive of a snapshot never came"
        );
        fail(app, worker, id, &format!("{TOO_LARGE}: {error}")).await?;
    } else {
        fail(app, worker, id, error).await?;
    }
    leave(app, worker, snapshot.reason, FinalSnapshot::Lost).await
}

/// Lets a worker leave that makes a snapshot for this reason. Interrupted, it is finished by reconcile, or by the same
/// call again.
pub(super) async fn leave(
    app: &App,
    worker: &WorkerId,
    reason: SnapshotReason,
    last: FinalSnapshot,
) -> Result<(), AppError> {
    if reason == SnapshotReason::Drain {
        return Ok(());
    }
    let policies = policies::in_force(app).await?;
    drain(app, worker, DrainReason::Signal, &policies).await?;
    settle(app, worker, last, &policies).await?;
    Ok(())
}
