use af_api::workers::WorkerBody;
use af_app::pool::workers;
use af_domain::ids::WorkerId;
use af_http::{ApiPath, Json, Problem};

use crate::caller::Viewer;

/// Shows a worker, also one that has stopped.
///
/// # Errors
/// 404 when no worker has or had this id.
#[utoipa::path(
    get, path = "/v1/workers/{workerId}",
    operation_id = "getWorker", tag = "workers",
    security(("apiKey" = ["admin", "read"])),
    responses((status = 200, body = WorkerBody), (status = 404, description = "not_found")),
)]
pub async fn get(
    Viewer(app): Viewer,
    ApiPath(worker): ApiPath<WorkerId>,
) -> Result<Json<WorkerBody>, Problem> {
    Ok(Json(workers::get(&app, &worker).await?))
}
