//! The final snapshot of a published image. Such an image makes a snapshot only when it leaves: on a stop, when it is idle,
//! or on a signal. Its row may still be `active` then, and the image makes no further call. So the end of the snapshot,
//! good or bad, also takes the row through `draining` to `stopping`.

use af_aws::objects::Objects;
use af_domain::ids::{SnapshotId, WorkerId};
use af_domain::snapshot::{FinalizeRefusal, Stored};

use super::{fail, finalize, own, refused};
use crate::pool::lifecycle::{FinalSnapshot, drain_and_finish};
use crate::{App, AppError};

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
    drain_and_finish(app, worker, FinalSnapshot::Awaited).await
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
    drain_and_finish(app, worker, FinalSnapshot::Lost).await
}
