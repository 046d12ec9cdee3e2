//! `workerHeartbeat {workerId, messageId, leaseId}` → boolean

use af_api::worker::compatible::{LeaseIds, LeaseRef};
use af_app::AppError;
use af_app::worker::heartbeat;

use crate::compatible::call::Call;

/// Extends the lease; `false` when the caller no longer holds it.
pub async fn run(mut call: Call) -> Result<bool, AppError> {
    let Some(LeaseIds { message, lease }) = call.args::<LeaseRef>()?.ids() else { return Ok(false) };
    let beat = heartbeat(&call.app, &call.worker, &message, &lease, None).await?;
    Ok(beat.held)
}
