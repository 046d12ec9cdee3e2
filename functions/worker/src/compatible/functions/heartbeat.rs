//! `workerHeartbeat {workerId, messageId, leaseId}` → boolean

use af_app::AppError;
use af_app::worker::heartbeat;
use serde_json::{Value, json};

use super::Held;
use crate::compatible::call::Call;

/// Whether the lease is still the caller's; if so, it lasts longer now.
///
/// # Errors
/// When the table cannot answer.
pub async fn run(mut call: Call) -> Result<Value, AppError> {
    let Some((message, lease)) = call.args::<Held>()?.ids() else { return Ok(json!(false)) };
    let beat = heartbeat(&call.app, &call.worker, &message, &lease, None).await?;
    Ok(json!(beat.held))
}
