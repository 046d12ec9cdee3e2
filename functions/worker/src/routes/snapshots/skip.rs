//! `POST /v1/worker/snapshots/{snapshotId}/skip`: the worker cannot restore the snapshot.

use af_api::worker::snapshots::{FailSnapshotAnswer, FailSnapshotRequest};
use af_app::files::snapshots::skip_unrestorable as use_case;
use af_domain::ids::SnapshotId;
use af_http::{ApiJson, ApiPath, Json, Problem};

use crate::caller::Caller;

/// Skips a ready snapshot of the caller's conversation that the caller cannot restore. The snapshot before, if there is
/// one, is the latest again.
///
/// # Errors
/// 404 when the conversation is not the caller's, 409 `conflict` when the snapshot is not ready.
#[utoipa::path(
    post, path = "/v1/worker/snapshots/{snapshotId}/skip",
    operation_id = "workerSkipSnapshot", tag = "worker",
    security(("workerToken" = [])), request_body = inline(FailSnapshotRequest),
    responses(
        (status = 200, body = inline(FailSnapshotAnswer)), (status = 404, description = "not_found"),
        (status = 409, description = "conflict"),
    ),
)]
pub async fn skip(
    Caller { app, worker, .. }: Caller,
    ApiPath(id): ApiPath<SnapshotId>,
    ApiJson(request): ApiJson<FailSnapshotRequest>,
) -> Result<Json<FailSnapshotAnswer>, Problem> {
    use_case(&app, &worker, &id, &request.error).await?;
    Ok(Json(FailSnapshotAnswer { failed: true }))
}
