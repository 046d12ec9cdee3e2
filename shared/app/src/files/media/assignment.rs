//! The conversation, the object key and the refusals of media files.

use af_domain::ids::{StorageId, WorkerId};
use af_domain::refusal::{Code, Refusal};
use af_domain::upload::allowance_time;
use af_domain::worker::Assignment;

use crate::{App, Result};

/// Returns the object key of a file.
pub fn object_key(id: &StorageId) -> String {
    format!("media/{id}")
}

/// Returns the assignment of `worker`.
pub(super) async fn assignment(app: &App, worker: &WorkerId) -> Result<Assignment> {
    Ok(crate::worker::assignment(app, worker).await?.ok_or_else(no_conversation)?)
}

pub(super) fn no_conversation() -> Refusal {
    Refusal::new(Code::Conflict, "this worker has no conversation, and a file must belong to one")
}

/// The refusal of an upload for which the worker has no allowance left.
pub(crate) fn too_much(bytes: u64) -> Refusal {
    let detail = "this worker has used up its upload allowance; try again later";
    Refusal::new(Code::RateLimited, detail).after(allowance_time(bytes))
}
