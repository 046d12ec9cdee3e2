//! `GET /v1/worker/media/{storageId}`: where to download a file.

use af_app::files::media::{Downloadable, get as use_case};
use af_aws::objects::Objects;
use af_domain::ids::{ContentType, StorageId};
use af_domain::refusal::Refusal;
use af_http::{ApiPath, Problem};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Shared;
use crate::caller::Caller;

/// A file.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    storage_id: String,
    /// Answers a plain GET, for 15 minutes at most.
    download_url: String,
    size_bytes: u64,
    sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    created_at: u64,
    /// When the file goes, epoch ms.
    expires_at: u64,
}

/// Answers where a file of the caller's conversation can be downloaded.
///
/// # Errors
/// 404 when there is none: of another conversation, not uploaded, or gone.
#[utoipa::path(
    get, path = "/v1/worker/media/{storageId}", tag = "worker",
    security(("workerToken" = [])),
    responses((status = 200, body = inline(Answer)), (status = 404, description = "not_found")),
)]
pub async fn get(
    State(app): State<Shared>,
    State(objects): State<Objects>,
    Caller(worker): Caller,
    ApiPath(id): ApiPath<StorageId>,
) -> Result<Json<Answer>, Problem> {
    let found = use_case(&app, &objects, &worker, &id).await?;
    let missing = || Refusal::not_found(format!("file {id} of this worker's conversation"));
    let Downloadable { media, download_url } = found.ok_or_else(missing)?;
    Ok(Json(Answer {
        storage_id: media.id.to_string(),
        download_url,
        size_bytes: media.content.size_bytes,
        sha256: media.content.sha256.to_string(),
        content_type: media.content_type.as_ref().map(ContentType::to_string),
        created_at: media.created_at.as_millis(),
        expires_at: media.expires_at.as_millis(),
    }))
}
