use af_api::worker::media::{AnnounceFileAnswer, AnnounceFileRequest};
use af_app::files::media::{announce as use_case, upload_url};
use af_domain::ids::{ContentType, Sha256Hex};
use af_domain::refusal::Refusal;
use af_domain::snapshot::Stored;
use af_http::{ApiJson, Json, Problem};
use http::{Method, StatusCode};

use crate::caller::Caller;

/// Announces a file of the conversation that the caller is assigned to.
///
/// # Errors
/// 409 `conflict` when the caller has no conversation, 422 that names the invalid field.
#[utoipa::path(
    post, path = "/v1/worker/media",
    operation_id = "workerAnnounceMedia", tag = "worker",
    security(("workerToken" = [])), request_body = inline(AnnounceFileRequest),
    responses(
        (status = 201, body = inline(AnnounceFileAnswer)),
        (status = 409, description = "conflict"), (status = 429, description = "rate_limited"),
    ),
)]
pub async fn announce(
    Caller { app, objects, worker }: Caller,
    ApiJson(request): ApiJson<AnnounceFileRequest>,
) -> Result<(StatusCode, Json<AnnounceFileAnswer>), Problem> {
    let sha256 = Sha256Hex::parse(request.sha256).map_err(Refusal::from)?;
    let content_type = request.content_type.map(ContentType::parse).transpose().map_err(Refusal::from)?;
    let content = Stored { size_bytes: request.size_bytes, sha256 };
    let media = use_case(&app, &worker, content, content_type).await?;
    let (upload, expires_at) = upload_url(&app, &objects, &media).await?;
    let answer = AnnounceFileAnswer {
        storage_id: media.id.to_string(),
        upload_url: upload.url,
        method: Method::PUT.to_string(),
        headers: upload.headers.into_iter().collect(),
        expires_at: expires_at.as_millis(),
    };
    Ok((StatusCode::CREATED, Json(answer)))
}
