//! `workerControlState {workerId}` → `{shouldStop}`

use af_app::AppError;
use af_app::worker::should_stop;
use serde_json::{Value, json};

use crate::compatible::call::Call;

/// Whether the caller shall leave.
///
/// # Errors
/// When the table cannot answer.
pub async fn run(call: Call) -> Result<Value, AppError> {
    Ok(json!({"shouldStop": should_stop(&call.app, &call.worker).await?}))
}
