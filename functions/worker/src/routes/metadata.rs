use af_api::worker::outcome::{AttachMetadataAnswer, AttachMetadataRequest};
use af_app::worker::attach;
use af_domain::ids::MessageId;
use af_http::{ApiJson, ApiPath, Json, Problem};

use crate::caller::Caller;
use crate::conversions::lease;

/// Adds metadata to a message.
///
/// # Errors
/// 409 `stale_lease` when the lease is no longer in force; then nothing was written. 422 when the metadata is too large.
#[utoipa::path(
    post, path = "/v1/worker/messages/{messageId}/metadata",
    operation_id = "workerSetMetadata", tag = "worker",
    security(("workerToken" = [])), request_body = inline(AttachMetadataRequest),
    responses((status = 200, body = inline(AttachMetadataAnswer)), (status = 409, description = "stale_lease")),
)]
pub async fn metadata(
    Caller { app, worker, .. }: Caller,
    ApiPath(message): ApiPath<MessageId>,
    ApiJson(request): ApiJson<AttachMetadataRequest>,
) -> Result<Json<AttachMetadataAnswer>, Problem> {
    let lease = lease(&request.lease_id, request.fence)?;
    attach(&app, &worker, &message, Some(&lease), &request.metadata).await?;
    Ok(Json(AttachMetadataAnswer { attached: true }))
}
