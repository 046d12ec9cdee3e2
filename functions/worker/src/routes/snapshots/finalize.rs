//! `POST /v1/worker/snapshots/{snapshotId}/finalize`: the worker has uploaded the archive.

use af_api::worker::snapshots::FinalizedSnapshot;
use af_app::files::snapshots::finalize as use_case;
use af_domain::ids::SnapshotId;
use af_http::{ApiPath, Json, Problem};

use crate::caller::Caller;

/// Finalizes a snapshot.
///
/// # Errors
/// 404 when the snapshot is not the caller's, 409 `stale_snapshot` when the conversation has moved on since, 409
/// `conflict` when the uploaded object is missing or is not the announced one.
#[utoipa::path(
    post, path = "/v1/worker/snapshots/{snapshotId}/finalize",
    operation_id = "workerFinalizeSnapshot", tag = "worker",
    security(("workerToken" = [])),
    responses(
        (status = 200, body = inline(FinalizedSnapshot)), (status = 404, description = "not_found"),
        (status = 409, description = "stale_snapshot, conflict"),
    ),
)]
pub async fn finalize(
    Caller { app, objects, worker }: Caller,
    ApiPath(id): ApiPath<SnapshotId>,
) -> Result<Json<FinalizedSnapshot>, Problem> {
    let ready = use_case(&app, &objects, &worker, &id).await?;
    Ok(Json(FinalizedSnapshot { snapshot_id: ready.id.to_string(), status: ready.status.name().to_owned() }))
}
