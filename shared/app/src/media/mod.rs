//! Media: files that agents make or fetch. They go between worker and bucket by presigned URLs.

mod announce;
mod expire;
mod get;
mod receive;

pub use announce::{announce, upload_url};
pub use expire::expire;
pub use get::{Downloadable, get};
pub use receive::receive;

use af_domain::ids::{StorageId, WorkerId};
use af_domain::refusal::{Code, Refusal};
use af_domain::worker::Assignment;

use crate::worker::revoked;
use crate::{App, AppError};

/// Where a file lies in the bucket.
pub fn object_key(id: &StorageId) -> String {
    format!("media/{id}")
}

/// What `worker` is assigned to.
async fn assignment(app: &App, worker: &WorkerId) -> Result<Assignment, AppError> {
    let row = app.store.worker_now(worker).await?;
    let row = row.filter(|w| w.status.is_live());
    let none = || Refusal::new(Code::Conflict, "this worker has no conversation that files could belong to");
    Ok(row.ok_or_else(revoked)?.assignment.ok_or_else(none)?)
}
