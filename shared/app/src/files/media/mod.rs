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
use af_domain::upload::allowance_time;
use af_domain::worker::Assignment;

use crate::{App, AppError};

/// Where a file lies in the bucket.
pub fn object_key(id: &StorageId) -> String {
    format!("media/{id}")
}

/// What `worker` is assigned to.
async fn assignment(app: &App, worker: &WorkerId) -> Result<Assignment, AppError> {
    Ok(crate::worker::assignment(app, worker).await?.ok_or_else(no_conversation)?)
}

fn no_conversation() -> Refusal {
    Refusal::new(Code::Conflict, "this worker has no conversation that files could belong to")
}

/// A worker has announced so much that this upload must wait until time is worth it.
pub(crate) fn too_much(bytes: u64) -> Refusal {
    let detail = "this worker has announced too many bytes to upload; it may again when some time has passed";
    Refusal::new(Code::RateLimited, detail).after(allowance_time(bytes))
}
