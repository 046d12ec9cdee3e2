//! Receives a media file through a function, because published images know no presigned URLs.

use af_aws::objects::{Objects, measured};
use af_domain::ids::{ContentType, StorageId, WorkerId};

use super::announce::announce;
use super::assignment::object_key;
use crate::{App, Result};

/// Announces `file` and stores it in the bucket. A repeated upload is another file. The errors are those of
/// `announce`.
pub async fn receive(
    app: &App,
    objects: &Objects,
    worker: &WorkerId,
    content_type: Option<ContentType>,
    file: Vec<u8>,
) -> Result<StorageId> {
    let media = announce(app, worker, measured(&file), content_type).await?;
    let content_type = media.content_type.as_ref().map(ContentType::as_str);
    // The object cannot exist yet, because its id is new.
    objects.put_if_absent(&object_key(&media.id), file, &media.content, content_type).await?;
    Ok(media.id)
}
