//! Fails a snapshot.

use af_domain::ids::{SnapshotId, WorkerId};
use af_domain::refusal::{Code, Refusal};
use af_domain::snapshot::SnapshotStatus;
use af_domain::worker::Worker;
use af_runtime::metric::Metric;
use af_store::conversation::Commit;

use super::ownership::{MAX_END_TRIES, leaving, own};
use crate::settings::policies;
use crate::worker::{alive, redact};
use crate::{App, AppError, Result};

/// Most stored characters of an error.
pub(super) const MAX_ERROR_CHARS: usize = 2_000;

/// Fails `worker`'s snapshot. If it was the final snapshot of a draining worker, its conversation becomes
/// free, and the next worker restores the previous snapshot.
///
/// # Errors
/// Returns 401 if the worker has stopped, 404 if the snapshot belongs to another worker, and 409 if it is
/// ready or has expired. A repetition gets the same answer.
pub async fn fail(app: &App, worker: &WorkerId, id: &SnapshotId, error: &str) -> Result<()> {
    let error = redact(error, MAX_ERROR_CHARS);
    for _ in 0..MAX_END_TRIES {
        let now = app.now();
        let (snapshot, before) = own(app, worker, id).await?;
        let policies = policies::for_agent(app, &snapshot.agent).await?;
        if let SnapshotStatus::Failed { .. } = snapshot.status {
            return Ok(());
        }
        let Some(failed) = snapshot.fail(&error) else {
            let detail = format!("the snapshot is {}, which is final", snapshot.status.name());
            return Err(Refusal::new(Code::Conflict, detail).into());
        };
        // A worker that has released the conversation may still report a failure; a stopped worker may not.
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
                Metric::SnapshotMissed.count();
                tracing::warn!(worker = %worker, "a worker stops without its final snapshot");
            }
            return Ok(());
        }
    }
    Err(AppError::Overtaken("failing a snapshot"))
}
