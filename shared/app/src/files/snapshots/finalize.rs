//! Finalizes a snapshot: checks that the uploaded archive is the announced one, and makes it the latest of
//! the conversation.

use af_aws::objects::Objects;
use af_domain::ids::{SnapshotId, WorkerId};
use af_domain::refusal::{Code, Refusal};
use af_domain::snapshot::{FinalizeRefusal, Snapshot, SnapshotStatus};
use af_domain::worker::Worker;
use af_store::conversation::Commit;
use af_store::snapshot::SnapshotChange;

use super::ownership::{MAX_END_TRIES, leaving, object_key, own, refused};
use crate::settings::policies;
use crate::{App, AppError, Result};

/// Finalizes `worker`'s snapshot. The final snapshot of a draining worker frees its conversation.
///
/// # Errors
/// Returns 404 if the snapshot belongs to another worker, 409 `stale_snapshot` if the conversation has
/// changed since, and 409 `conflict` if nothing or another archive was uploaded, or the snapshot has failed.
/// A repetition gets the same answer.
pub async fn finalize(app: &App, objects: &Objects, worker: &WorkerId, id: &SnapshotId) -> Result<Snapshot> {
    let mut uploaded = None;
    for _ in 0..MAX_END_TRIES {
        let now = app.now();
        let (snapshot, before) = own(app, worker, id).await?;
        let policies = policies::for_agent(app, &snapshot.agent).await?;
        if let SnapshotStatus::Ready { .. } = snapshot.status {
            return Ok(snapshot);
        }
        // This check comes before the call to the bucket, so that a superseded worker is not asked to upload
        // again.
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
        let (leaving, after) = match left? {
            Some((row, after)) => (Some(Worker { last_snapshot: Some(id.clone()), ..row }), after),
            None => (None, before.with_snapshot()),
        };
        let change = SnapshotChange { before: &before, after: &after, leaving: leaving.as_ref() };
        let commit = app.store.finalize_if_current(&ready, replaced.as_ref(), &change, &policies);
        if let Commit::Done = commit.await? {
            tracing::info!(worker = %worker, conversation = %ready.conversation, snapshot = %id, "snapshot ready");
            return Ok(ready);
        }
    }
    Err(AppError::Overtaken("finalizing a snapshot"))
}
