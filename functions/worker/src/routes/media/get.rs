use af_api::worker::media::StoredFile;
use af_app::files::media::get as use_case;
use af_domain::ids::StorageId;
use af_domain::refusal::Refusal;
use af_http::{ApiPath, Json, Problem};

use crate::caller::Caller;

/// Answers where to download a file of the caller's conversation.
///
/// # Errors
/// 409 when the worker has no conversation; 404 when the file belongs to another conversation, was not uploaded, or was deleted.
#[utoipa::path(
    get, path = "/v1/worker/media/{storageId}",
    operation_id = "workerGetMedia", tag = "worker",
    security(("workerToken" = [])),
    responses(
        (status = 200, body = inline(StoredFile)), (status = 404, description = "not_found"),
        (status = 409, description = "conflict"),
    ),
)]
pub async fn get(
    Caller { app, objects, worker }: Caller,
    ApiPath(id): ApiPath<StorageId>,
) -> Result<Json<StoredFile>, Problem> {
    let found = use_case(&app, &objects, &worker, &id).await?;
    let missing = || Refusal::not_found(format!("file {id} of this worker's conversation"));
    Ok(Json(found.ok_or_else(missing)?))
}
