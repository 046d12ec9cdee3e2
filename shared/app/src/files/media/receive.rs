//! A file that comes through a function: published images know no presigned URL.

use af_aws::objects::{Objects, measured};
use af_domain::ids::{ContentType, StorageId, WorkerId};

use super::{announce, object_key};
use crate::{App, AppError};

/// Announces what `file` is, and puts it into the bucket.
///
/// # Errors
/// As `announce`. A file that is sent again is another one.
pub async fn receive(
    app: &App,
    objects: &Objects,
    worker: &WorkerId,
    content_type: Option<ContentType>,
    file: Vec<u8>,
) -> Result<StorageId, AppError> {
    let media = announce(app, worker, measured(&file), content_type).await?;
    let content_type = media.content_type.as_ref().map(ContentType::as_str);
    // Nothing else can be there: its id is new.
    objects.put_if_absent(&object_key(&media.id), file, &media.content, content_type).await?;
    Ok(media.id)
}
