//! What a worker is assigned to, while its token is valid.

use af_domain::ids::WorkerId;
use af_domain::refusal::{Code, Refusal};
use af_domain::worker::Assignment;

use crate::{App, Result};

/// What `worker` is assigned to. Returns 401 if it has stopped.
pub async fn assignment(app: &App, worker: &WorkerId) -> Result<Option<Assignment>> {
    // The read is strongly consistent: a worker that was registered a moment ago must not be refused.
    let row = app.store.worker_now(worker).await?.filter(|row| row.status.is_live());
    Ok(row.ok_or_else(revoked)?.assignment)
}

/// The refusal for a worker that has stopped: its token is no longer valid.
pub(crate) fn revoked() -> Refusal {
    Refusal::new(Code::Unauthorized, "this worker has stopped, and its token with it")
}
