//! Announces a media file: creates its item, and presigns a URL that accepts exactly the announced bytes.

use af_aws::objects::{Objects, Presigned};
use af_domain::ids::{ContentType, StorageId, WorkerId};
use af_domain::media::{MAX_SIZE_BYTES, Media};
use af_domain::refusal::Refusal;
use af_domain::snapshot::{Stored, URL_GOOD_FOR};
use af_domain::time::Timestamp;
use af_domain::worker::Assignment;
use af_store::upload::Counted;

use super::assignment::{no_conversation, object_key, too_much};
use crate::settings::policies;
use crate::worker::revoked;
use crate::{App, Result};

/// Announces a file of `worker`'s conversation.
///
/// # Errors
/// Returns 409 if the worker has no conversation, 429 if its upload allowance is used up, and 422 for an
/// invalid size. A repeated announcement creates another file; the first one is never uploaded, and expires.
pub async fn announce(
    app: &App,
    worker: &WorkerId,
    content: Stored,
    content_type: Option<ContentType>,
) -> Result<Media> {
    if content.size_bytes == 0 || content.size_bytes > MAX_SIZE_BYTES {
        return Err(Refusal::field("/sizeBytes", format!("sizeBytes must be 1 to {MAX_SIZE_BYTES}")).into());
    }
    let now = app.now();
    let assignment = counted(app, worker, content.size_bytes, now).await?;
    let policies = policies::for_agent(app, &assignment.agent).await?;
    let id = StorageId::of(&assignment.key, &app.entropy.ulid(now)).expect("its place is a ULID");
    let media = Media {
        id,
        conversation: assignment.conversation,
        worker: Some(worker.clone()),
        content,
        content_type,
        created_at: now,
        expires_at: Media::expiry(now, policies.retention.attachment),
    };
    app.store.put_media(&media).await?;
    Ok(media)
}

/// Counts the upload, and returns the worker's assignment.
async fn counted(app: &App, worker: &WorkerId, bytes: u64, now: Timestamp) -> Result<Assignment> {
    let (row, is_counted) = match app.store.count_upload_if_allowed(worker, bytes, now).await? {
        Counted::Done(row) => (Some(row), true),
        Counted::Refused(row) => (row, false),
    };
    let live = row.filter(|row| row.status.is_live()).ok_or_else(revoked)?;
    let assignment = live.assignment.ok_or_else(no_conversation)?;
    Ok(is_counted.then_some(assignment).ok_or_else(|| too_much(bytes))?)
}

/// Returns the upload request, and until when the upload may begin.
pub async fn upload_url(app: &App, objects: &Objects, media: &Media) -> Result<(Presigned, Timestamp)> {
    let (key, content_type) = (object_key(&media.id), media.content_type.as_ref());
    let upload = objects.put_url(&key, &media.content, content_type, URL_GOOD_FOR).await?;
    Ok((upload, app.now() + URL_GOOD_FOR))
}
