//! `workerGenerateMediaUploadUrl {}` → `{uploadUrl}`

use af_app::AppError;
use serde_json::{Value, json};

use crate::compatible::call::Call;

/// Where the caller posts a file that its agent has made or fetched.
///
/// # Errors
/// When nothing says where this API is reached.
pub async fn run(call: Call) -> Result<Value, AppError> {
    Ok(json!({"uploadUrl": call.upload_url("media").await?}))
}
