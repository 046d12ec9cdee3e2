use af_api::worker::media::StoredFile;
use af_app::files::media::{Downloadable, get as use_case};
use af_domain::ids::{ContentType, StorageId};
use af_domain::refusal::Refusal;
use af_http::{ApiPath, Json, Problem};

use crate::caller::Caller;

/// Answers where to download a file of the caller's conversation.
///
/// # Errors
/// 404 when the file belongs to another conversation, was not uploaded, or was deleted.
#[utoipa::path(
    get, path = "/v1/worker/media/{storageId}", tag = "worker",
    security(("workerToken" = [])),
    responses((status = 200, body = inline(StoredFile)), (status = 404, description = "not_found")),
)]
pub async fn get(
    Caller { app, objects, worker }: Caller,
    ApiPath(id): ApiPath<StorageId>,
) -> Result<Json<StoredFile>, Problem> {
    let found = use_case(&app, &objects, &worker, &id).await?;
    let missing = || Refusal::not_found(format!("file {id} of this worker's conversation"));
    let Downloadable { media, download_url } = found.ok_or_else(missing)?;
    Ok(Json(StoredFile {
        storage_id: media.id.to_string(),
        download_url,
        size_bytes: media.content.size_bytes,
        sha256: media.content.sha256.to_string(),
        content_type: media.content_type.as_ref().map(ContentType::to_string),
        created_at: media.created_at.as_millis(),
        expires_at: media.expires_at.as_millis(),
    }))
}
