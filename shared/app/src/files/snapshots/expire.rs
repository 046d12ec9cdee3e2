//! Expiry: uploads that nobody finalized, failed ones, and what a newer snapshot has replaced for long enough.
//!
//! Row, object, index, in this order, and each step can be repeated: a run that dies in between is finished by the
//! next one, because the row stands in the index until its object is gone.

use af_aws::objects::Objects;
use af_domain::ids::SnapshotId;
use af_store::conversation::Commit;

use super::object_key;
use crate::files::sweep::{Expired, PAGE, work_off};
use crate::{App, AppError};

/// Works off what is due.
///
/// # Errors
/// When the index cannot be read. One snapshot's failure does not stop the others.
pub async fn expire(app: &App, objects: &Objects) -> Result<Expired, AppError> {
    let now = app.now();
    let page = |after| app.store.expired_snapshots(now, PAGE, after);
    work_off("a snapshot", page, |id| expire_one(app, objects, id)).await
}

/// Whether the snapshot's object is gone now; not so when the index was out of date.
async fn expire_one(app: &App, objects: &Objects, id: SnapshotId) -> Result<bool, AppError> {
    let now = app.now();
    let Some(before) = app.store.snapshot(&id).await? else { return Ok(false) };
    let after = before.expire();
    if let Commit::Stale = app.store.expire_if_unchanged(&before, &after, now).await? {
        return Ok(false);
    }
    objects.delete(&object_key(&id)).await?;
    Ok(matches!(app.store.object_deleted_if_ended(&id, now).await?, Commit::Done))
}
