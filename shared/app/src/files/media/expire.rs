//! Expiry: the object goes first and then the item, so that a run that dies in between is finished by the next one.

use af_aws::objects::Objects;
use af_domain::ids::StorageId;

use super::object_key;
use crate::files::sweep::{Expired, PAGE, work_off};
use crate::{App, AppError};

/// Works off what is due.
///
/// # Errors
/// When the index cannot be read. One file's failure does not stop the others.
pub async fn expire(app: &App, objects: &Objects) -> Result<Expired, AppError> {
    let now = app.now();
    let page = |after| app.store.expired_media(now, PAGE, after);
    work_off("a file", page, |id| expire_one(app, objects, id)).await
}

async fn expire_one(app: &App, objects: &Objects, id: StorageId) -> Result<bool, AppError> {
    objects.delete(&object_key(&id)).await?;
    app.store.delete_media(&id).await?;
    Ok(true)
}
