//! `workerGetStorageFileUrl {storageId}` → a URL or null

use af_app::AppError;
use af_app::files::media::{get, object_key};
use af_domain::ids::StorageId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::compatible::call::Call;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Args {
    storage_id: String,
}

/// Where a file of the caller's conversation is downloaded; `null` when there is no such file.
///
/// # Errors
/// 401 when the caller has stopped, 409 when it has no conversation.
pub async fn run(mut call: Call) -> Result<Value, AppError> {
    let args: Args = call.args()?;
    let Ok(id) = StorageId::parse(args.storage_id) else { return Ok(Value::Null) };
    if get(&call.app, &call.objects, &call.worker, &id).await?.is_none() {
        return Ok(Value::Null);
    }
    Ok(json!(call.link(&object_key(&id)).await?))
}
