use af_api::snapshots::{SkipSnapshotRequest, SnapshotBody};
use af_app::files::snapshots::skip_by_operator as use_case;
use af_domain::ids::{ConversationId, SnapshotId};
use af_http::{ApiJson, ApiPath, Json, Problem};

use crate::caller::Operator;

/// Skips a ready snapshot: no worker restores it any more. If it is the latest, the one before takes its place.
///
/// # Errors
/// 404 when there is no such snapshot of this conversation; 409 when it is not ready; 422 for a reason that is blank or too
/// long.
#[utoipa::path(
    post, path = "/v1/conversations/{conversationId}/snapshots/{snapshotId}/skip",
    operation_id = "skipSnapshot", tag = "snapshots",
    security(("apiKey" = ["admin"])), request_body = inline(SkipSnapshotRequest),
    responses(
        (status = 200, body = SnapshotBody), (status = 404, description = "not_found"),
        (status = 409, description = "conflict"),
    ),
)]
pub async fn skip(
    Operator { app, .. }: Operator,
    ApiPath((conversation, id)): ApiPath<(ConversationId, SnapshotId)>,
    ApiJson(request): ApiJson<SkipSnapshotRequest>,
) -> Result<Json<SnapshotBody>, Problem> {
    Ok(Json(use_case(&app, &conversation, &id, &request.reason).await?))
}
