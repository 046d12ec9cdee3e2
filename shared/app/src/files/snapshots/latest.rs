//! The snapshot that a worker restores: the latest ready snapshot of its conversation.

use af_api::worker::snapshots::LatestSnapshot;
use af_aws::objects::Objects;
use af_domain::ids::{ConversationId, WorkerId};
use af_domain::refusal::Refusal;
use af_domain::snapshot::{FORMAT_VERSION, Snapshot, URL_GOOD_FOR};
use af_store::conversation_key;

use super::ownership::{object_key, snapshot_under};
use crate::{App, Result};

/// Returns the latest ready snapshot of `worker`'s conversation; `None` if there is none.
///
/// # Errors
/// Returns 404 if the worker does not own the conversation. A worker must not restore the files of another
/// conversation.
pub async fn latest(
    app: &App,
    objects: &Objects,
    worker: &WorkerId,
    conversation: &ConversationId,
) -> Result<Option<LatestSnapshot>> {
    let Some(snapshot) = to_restore(app, worker, conversation).await? else { return Ok(None) };
    Ok(Some(LatestSnapshot {
        snapshot_id: snapshot.id.to_string(),
        download_url: download_url(objects, &snapshot).await?,
        sha256: snapshot.content.as_ref().map(|content| content.sha256.to_string()),
        size_bytes: snapshot.content.map(|content| content.size_bytes),
        created_at: snapshot.created_at.as_millis(),
        format_version: FORMAT_VERSION,
    }))
}

/// Returns the same snapshot without a URL. The errors are those of `latest`.
pub async fn to_restore(
    app: &App,
    worker: &WorkerId,
    conversation: &ConversationId,
) -> Result<Option<Snapshot>> {
    let key = conversation_key(conversation);
    let (meta, latest) = tokio::join!(app.store.conversation(&key, true), app.store.latest_snapshot(&key));
    if !meta?.is_some_and(|c| c.is_owned_by(worker)) {
        return Err(Refusal::not_found(format!("conversation {conversation} of this worker")).into());
    }
    Ok(latest?)
}

/// Records that `worker` has fetched the snapshot to restore, if it owns the conversation of the snapshot.
pub(crate) async fn fetched(app: &App, worker: &WorkerId, object_key: &str) -> Result<()> {
    if let Some(id) = snapshot_under(object_key) {
        app.store.restored_if_unclaimed(&id.parts().conversation, worker, app.now()).await?;
    }
    Ok(())
}

/// A presigned URL of the snapshot's archive.
pub(super) async fn download_url(objects: &Objects, snapshot: &Snapshot) -> Result<String> {
    Ok(objects.get_url(&object_key(&snapshot.id), URL_GOOD_FOR).await?)
}
