//! Skips a snapshot: it is not restored any more. If it is the latest of its conversation, the one before takes its place,
//! so that the conversation goes on with older files, or without files.

use af_api::snapshots::SnapshotBody;
use af_domain::ids::{ConversationId, SnapshotId, WorkerId};
use af_domain::refusal::{Code, Refusal};
use af_domain::snapshot::{Snapshot, SnapshotStatus};
use af_store::conversation::Commit;
use af_store::conversation_key;
use af_store::snapshot::SkippedLatest;

use super::fail::MAX_ERROR_CHARS;
use super::ownership::MAX_END_TRIES;
use crate::settings::policies;
use crate::worker::redact;
use crate::{App, AppError, Result};

/// How many snapshots before the skipped one are examined. Most of them are ready, or have expired like all older ones.
const MAX_PREVIOUS: i32 = 50;

/// Skips the snapshot `id` of the conversation that `worker` owns, because the worker cannot restore it. Returns 404 if
/// the worker does not own the conversation, and 409 if the snapshot is not ready. A repetition gets the same answer.
pub async fn skip_unrestorable(app: &App, worker: &WorkerId, id: &SnapshotId, error: &str) -> Result<()> {
    let conversation = app.store.conversation(&id.parts().conversation, true).await?;
    let owner = conversation.and_then(|conversation| conversation.owner);
    if owner.is_none_or(|owner| &owner.worker != worker) {
        return Err(missing(id));
    }
    let error = format!("worker {worker} could not restore it: {}", redact(error, MAX_ERROR_CHARS));
    skip(app, id, &error).await.map(drop)
}

/// Skips the snapshot `id` of `conversation` for an operator. Returns 404 if there is no such snapshot, 409 if it is not
/// ready, and 422 for a blank reason. A repetition gets the same answer.
pub async fn skip_by_operator(
    app: &App,
    conversation: &ConversationId,
    id: &SnapshotId,
    reason: &str,
) -> Result<SnapshotBody> {
    if reason.trim().is_empty() || reason.chars().count() > MAX_ERROR_CHARS {
        let detail = format!("reason must have 1 to {MAX_ERROR_CHARS} characters");
        return Err(Refusal::field("/reason", detail).into());
    }
    if id.parts().conversation != conversation_key(conversation) {
        return Err(missing(id));
    }
    let skipped = skip(app, id, &format!("skipped by an operator: {}", reason.trim())).await?;
    Ok(SnapshotBody::new(skipped, None))
}

async fn skip(app: &App, id: &SnapshotId, error: &str) -> Result<Snapshot> {
    let key = id.parts().conversation;
    for _ in 0..MAX_END_TRIES {
        let (snapshot, latest) = tokio::join!(app.store.snapshot(id), app.store.latest_snapshot(&key));
        let Some(snapshot) = snapshot? else { return Err(missing(id)) };
        let policies = policies::for_agent(app, &snapshot.agent).await?;
        let Some(skipped) = snapshot.skip(error, app.now(), &policies) else {
            if let SnapshotStatus::Failed { .. } = snapshot.status {
                return Ok(snapshot);
            }
            let detail =
                format!("the snapshot is {}; only a ready one can be skipped", snapshot.status.name());
            return Err(Refusal::new(Code::Conflict, detail).into());
        };
        let previous = previous(app, &snapshot).await?;
        let after = match (latest?.is_some_and(|latest| &latest.id == id), &previous) {
            (false, _) => SkippedLatest::Other,
            (true, None) => SkippedLatest::None,
            (true, Some(previous)) => SkippedLatest::Previous(previous),
        };
        if let Commit::Done = app.store.skip_if_ready(&skipped, after).await? {
            let previous = previous.map(|previous| previous.id.to_string());
            tracing::warn!(
                conversation = %skipped.conversation, snapshot = %id, previous, error, "snapshot skipped"
            );
            return Ok(skipped);
        }
    }
    Err(AppError::Overtaken("skipping a snapshot"))
}

/// The newest ready snapshot that is older than `snapshot`.
async fn previous(app: &App, snapshot: &Snapshot) -> Result<Option<Snapshot>> {
    let key = snapshot.id.parts().conversation;
    let older = app.store.snapshots_of(&key, MAX_PREVIOUS, Some(&snapshot.id)).await?;
    Ok(older.items.into_iter().find(|older| matches!(older.status, SnapshotStatus::Ready { .. })))
}

fn missing(id: &SnapshotId) -> AppError {
    Refusal::not_found(format!("snapshot {id}")).into()
}
