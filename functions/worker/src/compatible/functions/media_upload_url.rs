//! `workerGenerateMediaUploadUrl {}` → `{uploadUrl}`

use af_app::AppError;
use serde_json::{Value, json};

use crate::compatible::call::Call;

/// Where the caller posts a file that its agent has made or fetched.
///
/// # Errors
/// When the request does not say where it has reached us.
#[allow(clippy::unused_async, reason = "every function is called the same way")]
pub async fn run(call: Call) -> Result<Value, AppError> {
    Ok(json!({"uploadUrl": call.upload_url("media")?}))
}
