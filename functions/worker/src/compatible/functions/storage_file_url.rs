//! `workerGetStorageFileUrl {storageId}` → a URL or null

use af_api::worker::compatible::StorageFileArgs;
use af_app::AppError;
use af_app::files::media::{get, object_key};
use af_domain::ids::StorageId;

use crate::compatible::call::Call;

/// Where the caller downloads a file of its conversation; `null` when there is no such file.
///
/// # Errors
/// 401 when the caller has stopped, 409 when it has no conversation.
pub async fn run(mut call: Call) -> Result<Option<String>, AppError> {
    let args: StorageFileArgs = call.args()?;
    let Ok(id) = StorageId::parse(args.storage_id) else { return Ok(None) };
    if get(&call.app, &call.objects, &call.worker, &id).await?.is_none() {
        return Ok(None);
    }
    Ok(Some(call.link(&object_key(&id)).await?))
}
