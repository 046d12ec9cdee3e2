//! `POST /v1/worker/snapshots/{snapshotId}/fail`: the archive will not come.

use af_app::files::snapshots::fail as use_case;
use af_domain::ids::SnapshotId;
use af_http::{ApiJson, ApiPath, Problem};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Shared;
use crate::caller::Caller;

/// Why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// For people; the first 2 000 characters are kept.
    error: String,
}

/// What a worker is answered.
#[derive(Debug, Serialize, ToSchema)]
pub struct Answer {
    failed: bool,
}

/// Fails a snapshot.
///
/// # Errors
/// 404 when it is not the caller's, 409 `conflict` when it is ready already.
#[utoipa::path(
    post, path = "/v1/worker/snapshots/{snapshotId}/fail", tag = "worker",
    security(("workerToken" = [])), request_body = inline(Request),
    responses(
        (status = 200, body = inline(Answer)), (status = 404, description = "not_found"),
        (status = 409, description = "conflict"),
    ),
)]
pub async fn fail(
    State(app): State<Shared>,
    Caller(worker): Caller,
    ApiPath(id): ApiPath<SnapshotId>,
    ApiJson(request): ApiJson<Request>,
) -> Result<Json<Answer>, Problem> {
    use_case(&app, &worker, &id, &request.error).await?;
    Ok(Json(Answer { failed: true }))
}
