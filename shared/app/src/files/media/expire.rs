//! Expiry: the object is deleted before the item, so that the next run finishes an interrupted one.

use af_aws::objects::Objects;
use af_domain::ids::StorageId;

use super::assignment::object_key;
use crate::files::sweep::{Expired, PAGE, expire_all};
use crate::{App, Result};

/// Deletes the expired files. The failure of one file does not affect the others.
pub async fn expire(app: &App, objects: &Objects) -> Result<Expired> {
    let now = app.now();
    let page = |after| app.store.expired_media(now, PAGE, after);
    expire_all("a file", page, |id| expire_one(app, objects, id)).await
}

async fn expire_one(app: &App, objects: &Objects, id: StorageId) -> Result<bool> {
    objects.delete(&object_key(&id)).await?;
    app.store.delete_media(&id).await?;
    Ok(true)
}
