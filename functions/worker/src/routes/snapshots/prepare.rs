use af_api::worker::snapshots::{PrepareSnapshotRequest, PreparedSnapshot};
use af_app::files::snapshots::{Announced, prepare as use_case};
use af_domain::ids::{ConversationId, Sha256Hex};
use af_domain::refusal::Refusal;
use af_domain::snapshot::{SnapshotReason, Stored};
use af_http::{ApiJson, Json, Problem, StatusCode};

use crate::caller::Caller;

/// Prepares a snapshot.
///
/// # Errors
/// 404 when the conversation is not the caller's, 409 `conflict` when the caller has claimed no message of it, 409
/// `message_running` with `Retry-After` while a message runs.
#[utoipa::path(
    post, path = "/v1/worker/snapshots",
    operation_id = "workerPrepareSnapshot", tag = "worker",
    security(("workerToken" = [])), request_body = inline(PrepareSnapshotRequest),
    responses(
        (status = 201, body = inline(PreparedSnapshot)), (status = 404, description = "not_found"),
        (status = 409, description = "conflict, message_running"), (status = 429, description = "rate_limited"),
        (status = 503, description = "unavailable"),
    ),
)]
pub async fn prepare(
    Caller { app, objects, worker }: Caller,
    ApiJson(request): ApiJson<PrepareSnapshotRequest>,
) -> Result<(StatusCode, Json<PreparedSnapshot>), Problem> {
    let reason = SnapshotReason::parse(&request.reason)
        .ok_or_else(|| Refusal::field("/reason", "reason must be one of drain, signal, manual"))?;
    let sha256 = Sha256Hex::parse(request.sha256).map_err(Refusal::from)?;
    let announced = Announced {
        conversation: ConversationId::parse(request.conversation_id).map_err(Refusal::from)?,
        reason,
        content: Stored { size_bytes: request.size_bytes, sha256 },
    };
    Ok((StatusCode::CREATED, Json(use_case(&app, &objects, &worker, announced).await?)))
}
