//! `POST /v1/worker/snapshots/{snapshotId}/fail`: the worker does not upload the archive.

use af_api::worker::snapshots::{FailSnapshotAnswer, FailSnapshotRequest};
use af_app::files::snapshots::fail as use_case;
use af_domain::ids::SnapshotId;
use af_http::{ApiJson, ApiPath, Json, Problem};

use crate::caller::Caller;

/// Fails a snapshot.
///
/// # Errors
/// 404 when the snapshot is not the caller's, 409 `conflict` when it is already ready.
#[utoipa::path(
    post, path = "/v1/worker/snapshots/{snapshotId}/fail",
    operation_id = "workerFailSnapshot", tag = "worker",
    security(("workerToken" = [])), request_body = inline(FailSnapshotRequest),
    responses(
        (status = 200, body = inline(FailSnapshotAnswer)), (status = 404, description = "not_found"),
        (status = 409, description = "conflict"),
    ),
)]
pub async fn fail(
    Caller { app, worker, .. }: Caller,
    ApiPath(id): ApiPath<SnapshotId>,
    ApiJson(request): ApiJson<FailSnapshotRequest>,
) -> Result<Json<FailSnapshotAnswer>, Problem> {
    use_case(&app, &worker, &id, &request.error).await?;
    Ok(Json(FailSnapshotAnswer { failed: true }))
}
