//! `POST /v1/worker/snapshots/{snapshotId}/finalize`: the archive is uploaded.

use af_app::files::snapshots::finalize as use_case;
use af_aws::objects::Objects;
use af_domain::ids::SnapshotId;
use af_http::{ApiPath, Problem};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Shared;
use crate::caller::Caller;

/// The snapshot, which is the conversation's latest now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    snapshot_id: String,
    /// `ready`.
    status: &'static str,
}

/// Finalizes a snapshot.
///
/// # Errors
/// 404 when it is not the caller's, 409 `stale_snapshot` when the conversation has moved on since, 409 `conflict` when
/// nothing or something else was uploaded.
#[utoipa::path(
    post, path = "/v1/worker/snapshots/{snapshotId}/finalize", tag = "worker",
    security(("workerToken" = [])),
    responses(
        (status = 200, body = inline(Answer)), (status = 404, description = "not_found"),
        (status = 409, description = "stale_snapshot, conflict"),
    ),
)]
pub async fn finalize(
    State(app): State<Shared>,
    State(objects): State<Objects>,
    Caller(worker): Caller,
    ApiPath(id): ApiPath<SnapshotId>,
) -> Result<Json<Answer>, Problem> {
    let ready = use_case(&app, &objects, &worker, &id).await?;
    Ok(Json(Answer { snapshot_id: ready.id.to_string(), status: ready.status.name() }))
}
