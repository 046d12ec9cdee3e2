//! Downloads a media file for the worker of its conversation.

use af_aws::objects::Objects;
use af_domain::ids::{StorageId, WorkerId};
use af_domain::media::Media;
use af_domain::snapshot::URL_GOOD_FOR;

use super::assignment::{assignment, object_key};
use crate::{App, Result};

/// A file that can be downloaded now.
#[derive(Debug)]
pub struct Downloadable {
    /// The media item.
    pub media: Media,
    /// A presigned URL of the file.
    pub download_url: String,
}

/// Returns the file; `None` if it belongs to another conversation, was not uploaded as announced, or has expired.
/// Returns 409 if the worker has no conversation.
pub async fn get(
    app: &App,
    objects: &Objects,
    worker: &WorkerId,
    id: &StorageId,
) -> Result<Option<Downloadable>> {
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
    let download_url = objects.get_url(&key, URL_GOOD_FOR).await?;
    Ok(Some(Downloadable { media, download_url }))
}
