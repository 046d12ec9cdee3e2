//! `workerControlState {workerId}` → `{shouldStop}`

use af_api::worker::compatible::ControlState;
use af_app::AppError;
use af_app::worker::should_stop;

use crate::compatible::call::Call;

/// Whether the caller must stop.
pub async fn run(call: Call) -> Result<ControlState, AppError> {
    Ok(ControlState { should_stop: should_stop(&call.app, &call.worker).await? })
}
