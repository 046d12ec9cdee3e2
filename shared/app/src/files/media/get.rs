//! A file, for the worker of the conversation that it belongs to.

use af_aws::objects::Objects;
use af_domain::ids::{StorageId, WorkerId};
use af_domain::media::Media;
use af_domain::snapshot::URL_GOOD_FOR;

use super::{assignment, object_key};
use crate::{App, AppError};

/// A file that can be downloaded now.
#[derive(Debug)]
pub struct Downloadable {
    /// What is known of it.
    pub media: Media,
    /// A URL that answers it.
    pub download_url: String,
}

/// The file; `None` when it is not of `worker`'s conversation, was never uploaded as it was announced, or is over.
///
/// # Errors
/// 409 when the worker has no conversation.
pub async fn get(
    app: &App,
    objects: &Objects,
    worker: &WorkerId,
    id: &StorageId,
) -> Result<Option<Downloadable>, AppError> {
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
