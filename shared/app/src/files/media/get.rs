//! Downloads a media file for the worker of its conversation.

use af_api::worker::media::StoredFile;
use af_aws::objects::Objects;
use af_domain::ids::{StorageId, WorkerId};
use af_domain::snapshot::URL_GOOD_FOR;

use super::assignment::{assignment, object_key};
use crate::{App, Result};

/// Returns the file; `None` if it belongs to another conversation, was not uploaded as announced, or has expired.
/// Returns 409 if the worker has no conversation.
pub async fn get(
    app: &App,
    objects: &Objects,
    worker: &WorkerId,
    id: &StorageId,
) -> Result<Option<StoredFile>> {
    if assignment(app, worker).await?.key != id.parts().0 {
        return Ok(None);
    }
    let key = object_key(id);
    let (media, stored) = tokio::join!(app.store.media(id), objects.stored(&key));
    let stored = stored?;
    let Some(media) = media?.filter(|m| !m.is_expired(app.now()) && stored.as_ref() == Some(&m.content))
    else {
        return Ok(None);
    };
    Ok(Some(StoredFile {
        storage_id: media.id.to_string(),
        download_url: objects.get_url(&key, URL_GOOD_FOR).await?,
        size_bytes: media.content.size_bytes,
        sha256: media.content.sha256.to_string(),
        content_type: media.content_type.map(|content_type| content_type.to_string()),
        created_at: media.created_at.as_millis(),
        expires_at: media.expires_at.as_millis(),
    }))
}
