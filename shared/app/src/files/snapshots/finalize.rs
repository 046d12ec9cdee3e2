//! Finalizing a snapshot: what was uploaded is what was announced, and it is the conversation's latest from now on.

use af_aws::objects::Objects;
use af_domain::ids::{SnapshotId, WorkerId};
use af_domain::refusal::{Code, Refusal};
use af_domain::snapshot::{FinalizeRefusal, Snapshot, SnapshotStatus};
use af_domain::worker::Worker;
use af_store::conversation::Commit;
use af_store::snapshot::Follows;

use super::{MAX_END_TRIES, leaving, object_key, own, refused};
use crate::settings::policies;
use crate::{App, AppError};

/// Finalizes `worker`'s snapshot. With the final snapshot of a draining worker, its conversation is free.
///
/// # Errors
/// 404 when it is not the worker's; 409 `stale_snapshot` when the conversation has moved on since; 409 `conflict` when
/// nothing or something else was uploaded, or the snapshot has failed. A finalization that is sent again answers the
/// same.
pub async fn finalize(
    app: &App,
    objects: &Objects,
    worker: &WorkerId,
    id: &SnapshotId,
) -> Result<Snapshot, AppError> {
    let policies = policies::in_force(app).await?;
    let mut uploaded = None;
    for _ in 0..MAX_END_TRIES {
        let now = app.now();
        let (snapshot, before) = own(app, worker, id).await?;
        if let SnapshotStatus::Ready { .. } = snapshot.status {
            return Ok(snapshot);
        }
        // ReadPosition the bucket is asked: a zombie shall not be told to upload once more.
        if !snapshot.is_current(&before) {
            return Err(refused(FinalizeRefusal::Superseded).into());
        }
        if uploaded.is_none() {
            uploaded = objects.stored(&object_key(id)).await?;
        }
        let Some(stored) = &uploaded else {
            let detail = "nothing was uploaded; put the archive to the uploadUrl first";
            return Err(Refusal::new(Code::Conflict, detail).into());
        };
        let ready = snapshot.finalize(stored, &before, now, &policies).map_err(refused)?;
        let latest = app.store.latest_snapshot(&before.key);
        let (replaced, left) = tokio::join!(latest, leaving(app, &snapshot, &before, now, &policies));
        let replaced = replaced?;
        let commit = match left? {
            Some((settled, after)) => {
                let settled = Worker { last_snapshot: Some(id.clone()), ..settled };
                let follows = Follows::Freed { before: &before, after: &after, settled: &settled };
                app.store.finalize_if_current(&ready, replaced.as_ref(), &follows, &policies).await?
            }
            None => {
                let after = before.with_snapshot();
                let follows = Follows::Kept { before: &before, after: &after };
                app.store.finalize_if_current(&ready, replaced.as_ref(), &follows, &policies).await?
            }
        };
        if let Commit::Done = commit {
            tracing::info!(worker = %worker, conversation = %ready.conversation, snapshot = %id, "snapshot ready");
            return Ok(ready);
        }
    }
    Err(AppError::Overtaken("finalizing a snapshot"))
}
