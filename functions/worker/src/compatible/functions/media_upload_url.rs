//! `workerGenerateMediaUploadUrl {}` → `{uploadUrl}`

use af_api::worker::compatible::MediaUpload;
use af_app::AppError;
use af_app::worker::may_still_ask;

use crate::compatible::call::Call;

/// Where the caller uploads a file that its agent has made or fetched.
///
/// # Errors
/// 401 when the caller has stopped; when no setting and no header says at which URL this API is reached.
pub async fn run(call: Call) -> Result<MediaUpload, AppError> {
    may_still_ask(&call.app, &call.worker).await?;
    Ok(MediaUpload { upload_url: call.upload_url("media").await? })
}
