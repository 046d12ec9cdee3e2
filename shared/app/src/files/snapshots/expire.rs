//! Expiry of snapshots: uploads that were never finalized, failed uploads, and replaced snapshots after their
//! retention.
//!
//! The item is updated first, then the object is deleted, then the item leaves the index. Each step can be
//! repeated. The next run finishes an interrupted one, because the item stays in the index until its object
//! is deleted.

use af_aws::objects::Objects;
use af_domain::ids::SnapshotId;
use af_store::conversation::Commit;

use super::ownership::object_key;
use crate::files::sweep::{Expired, PAGE, expire_all};
use crate::{App, Result};

/// Deletes the expired snapshots. The failure of one snapshot does not affect the others.
pub async fn expire(app: &App, objects: &Objects) -> Result<Expired> {
    let now = app.now();
    let page = |after| app.store.expired_snapshots(now, PAGE, after);
    expire_all("a snapshot", page, |id| expire_one(app, objects, id)).await
}

/// Returns whether the object was deleted; `false` if the index was out of date.
async fn expire_one(app: &App, objects: &Objects, id: SnapshotId) -> Result<bool> {
    let now = app.now();
    let Some(before) = app.store.snapshot(&id).await? else { return Ok(false) };
    let after = before.expire();
    if let Commit::Stale = app.store.expire_if_unchanged(&before, &after, now).await? {
        return Ok(false);
    }
    objects.delete(&object_key(&id)).await?;
    Ok(matches!(app.store.object_deleted_if_ended(&id, now).await?, Commit::Done))
}
