//! An archive that comes through a function: published images know no presigned URL.

use af_aws::objects::{Objects, measured};
use af_domain::ids::{SnapshotId, WorkerId};
use af_domain::refusal::{Code, Refusal};
use af_domain::snapshot::{FinalizeRefusal, SnapshotStatus, URL_GOOD_FOR};
use af_store::conversation::Commit;

use super::{object_key, own, refused};
use crate::{App, AppError};

/// What archives are.
const CONTENT_TYPE: &str = "application/gzip";

/// Puts the archive of `worker`'s snapshot into the bucket, and announces it as what it is. The first one counts: what
/// comes late must not replace one that is ready.
///
/// # Errors
/// 404 when the snapshot is not the worker's; 409 when its time is over, it has ended or has another archive, or the
/// conversation has moved on; 422 for an empty archive.
pub async fn receive(
    app: &App,
    objects: &Objects,
    worker: &WorkerId,
    id: &SnapshotId,
    archive: Vec<u8>,
) -> Result<(), AppError> {
    let (snapshot, conversation) = own(app, worker, id).await?;
    if archive.is_empty() {
        return Err(Refusal::field("", "the archive is the body of this request, and there is none").into());
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
        let detail = "another archive has come for this snapshot; prepare another one";
        return Err(Refusal::new(Code::Conflict, detail).into());
    }
    match app.store.announce_if_uploading(id, &content).await? {
        Commit::Done => Ok(()),
        Commit::Stale => Err(AppError::Overtaken("taking an archive")),
    }
}
