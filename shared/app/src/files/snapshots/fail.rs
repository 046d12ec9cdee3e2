//! A snapshot that will not come.

use af_domain::ids::{SnapshotId, WorkerId};
use af_domain::refusal::{Code, Refusal};
use af_domain::snapshot::SnapshotStatus;
use af_domain::worker::Worker;
use af_store::conversation::Commit;

use super::{MAX_END_TRIES, leaving, own};
use crate::settings::policies;
use crate::worker::{alive, redact};
use crate::{App, AppError};

/// Most characters of an error that are kept.
const MAX_ERROR_CHARS: usize = 2_000;

/// Fails `worker`'s snapshot. When it was the final one of a draining worker, its conversation is free, and the next
/// worker begins with the snapshot before.
///
/// # Errors
/// 401 when the worker has stopped; 404 when it is not the worker's; 409 when it is ready or has expired. A failure that is sent again answers the same.
pub async fn fail(app: &App, worker: &WorkerId, id: &SnapshotId, error: &str) -> Result<(), AppError> {
    let policies = policies::in_force(app).await?;
    let error = redact(error, MAX_ERROR_CHARS);
    for _ in 0..MAX_END_TRIES {
        let now = app.now();
        let (snapshot, before) = own(app, worker, id).await?;
        if let SnapshotStatus::Failed { .. } = snapshot.status {
            return Ok(());
        }
        let Some(failed) = snapshot.fail(&error) else {
            let detail = format!("the snapshot is {} and stays so", snapshot.status.name());
            return Err(Refusal::new(Code::Conflict, detail).into());
        };
        // A worker that has let go of the conversation may still say that nothing will come, one that has stopped not.
        if !snapshot.is_current(&before) {
            alive(app, worker).await?;
        }
        let left = leaving(app, &snapshot, &before, now, &policies).await?;
        let missed = before.owes_snapshot();
        let left = left.map(|(settled, after)| (Worker { snapshot_missed: missed, ..settled }, after));
        let freed = left.as_ref().map(|(settled, after)| (settled, &before, after));
        if let Commit::Done = app.store.fail_if_uploading(&failed, freed, &policies).await? {
            tracing::warn!(worker = %worker, conversation = %failed.conversation, snapshot = %id, "snapshot failed");
            if missed && freed.is_some() {
                tracing::warn!(worker = %worker, metric = "snapshot_missed", "a worker leaves without its final snapshot");
            }
            return Ok(());
        }
    }
    Err(AppError::Overtaken("failing a snapshot"))
}
