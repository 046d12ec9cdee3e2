//! Receives an archive through a function, because published images know no presigned URLs.

use af_aws::objects::{Objects, measured};
use af_domain::ids::{SnapshotId, WorkerId};
use af_domain::refusal::{Code, Refusal};
use af_domain::snapshot::{FinalizeRefusal, SnapshotStatus, URL_GOOD_FOR};
use af_store::conversation::Commit;

use super::ownership::{object_key, own, refused};
use crate::{App, AppError, Result};

/// The media type of archives.
const CONTENT_TYPE: &str = "application/gzip";

/// Stores the archive of `worker`'s snapshot in the bucket, and announces its size and digest. The first
/// archive counts: a late upload must not replace a ready one.
///
/// # Errors
/// Returns 404 if the snapshot belongs to another worker, 409 if it has expired, ended or has another
/// archive, or the conversation has changed, and 422 for an empty archive.
pub async fn receive(
    app: &App,
    objects: &Objects,
    worker: &WorkerId,
    id: &SnapshotId,
    archive: Vec<u8>,
) -> Result<()> {
    let (snapshot, conversation) = own(app, worker, id).await?;
    if archive.is_empty() {
        return Err(Refusal::field("", "the body must contain the archive, but is empty").into());
    }
    if !snapshot.is_current(&conversation) {
        return Err(refused(FinalizeRefusal::Superseded).into());
    }
    if snapshot.status != SnapshotStatus::Uploading {
        return Err(refused(FinalizeRefusal::Ended(snapshot.status.name())).into());
    }
    if snapshot.created_at + URL_GOOD_FOR <= app.now() {
        return Err(Refusal::new(Code::Conflict, "this upload has expired; prepare another one").into());
    }
    let content = measured(&archive);
    let key = object_key(id);
    let is_new = objects.put_if_absent(&key, archive, &content, Some(CONTENT_TYPE)).await?;
    if !is_new && objects.stored(&key).await?.as_ref() != Some(&content) {
        let detail = "another archive was uploaded for this snapshot; prepare another one";
        return Err(Refusal::new(Code::Conflict, detail).into());
    }
    match app.store.announce_if_uploading(id, &content).await? {
        Commit::Done => Ok(()),
        Commit::Stale => Err(AppError::Overtaken("taking an archive")),
    }
}
