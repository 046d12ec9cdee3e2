//! The final snapshot of a published image. Such an image makes a snapshot only when it stops: on an order,
//! when it is idle, or on a signal. Its row may still be `active` then, and the image makes no further call.
//! Therefore the end of the snapshot, with success or failure, also moves the row through `draining` to
//! `stopping`.

use af_aws::objects::Objects;
use af_domain::ids::{SnapshotId, WorkerId};
use af_domain::snapshot::{FinalizeRefusal, Stored};
use af_runtime::metric::Metric;

use super::fail::fail;
use super::finalize::finalize;
use super::ownership::{own, refused};
use crate::pool::lifecycle::{FinalSnapshot, drain_and_finish};
use crate::{App, Result};

/// The error of a snapshot whose archive the gateway or Lambda refused.
const TOO_LARGE: &str = "snapshotTooLarge";
/// The text by which images report the HTTP status of an upload.
const STATUS_TOO_LARGE: &str = "[413]";

/// Finalizes a snapshot of `worker`, which reports what it has uploaded, and lets the worker stop. The errors are
/// those of `finalize`, and 409 if the reported archive is not the uploaded one.
pub async fn finalize_and_leave(
    app: &App,
    objects: &Objects,
    worker: &WorkerId,
    id: &SnapshotId,
    said: &Stored,
) -> Result<()> {
    let (snapshot, _) = own(app, worker, id).await?;
    if snapshot.content.as_ref().is_some_and(|content| content != said) {
        return Err(refused(FinalizeRefusal::Mismatch).into());
    }
    finalize(app, objects, worker, id).await?;
    drain_and_finish(app, worker, FinalSnapshot::Awaited).await
}

/// Fails a snapshot of `worker`, and lets the worker stop. The errors are those of `fail`.
pub async fn fail_and_leave(app: &App, worker: &WorkerId, id: &SnapshotId, error: &str) -> Result<()> {
    let (snapshot, _) = own(app, worker, id).await?;
    if snapshot.content.is_none() && error.contains(STATUS_TOO_LARGE) {
        Metric::SnapshotTooLarge.count();
        tracing::warn!(
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
