use af_api::queue::QueueStats;
use af_app::queue;
use af_http::{Json, Problem};

use crate::caller::Viewer;

/// Counts the messages of the queue.
///
/// # Errors
/// When they cannot be read.
#[utoipa::path(
    get, path = "/v1/queue/stats",
    operation_id = "getQueueStats", tag = "queue",
    security(("apiKey" = ["admin", "read"])),
    responses((status = 200, body = inline(QueueStats))),
)]
pub async fn stats(Viewer(app): Viewer) -> Result<Json<QueueStats>, Problem> {
    Ok(Json(queue::stats(&app).await?))
}
