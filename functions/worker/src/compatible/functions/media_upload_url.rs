//! `workerGenerateMediaUploadUrl {}` → `{uploadUrl}`

use af_app::AppError;
use af_app::worker::may_still_ask;
use serde_json::{Value, json};

use crate::compatible::call::Call;

/// Where the caller posts a file that its agent has made or fetched.
///
/// # Errors
/// 401 when the caller has stopped; when nothing says where this API is reached.
pub async fn run(call: Call) -> Result<Value, AppError> {
    may_still_ask(&call.app, &call.worker).await?;
    Ok(json!({"uploadUrl": call.upload_url("media").await?}))
}
