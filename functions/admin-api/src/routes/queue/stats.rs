//! `GET /v1/queue/stats`.

use af_api::queue::QueueStats;
use af_app::queue;
use af_domain::time::{Millis, Timestamp};
use af_http::Problem;
use axum::Json;
use axum::extract::State;

use crate::caller::Viewer;
use crate::state::Shared;

/// Counts the messages of the queue.
///
/// # Errors
/// When they cannot be read.
#[utoipa::path(
    get, path = "/v1/queue/stats", tag = "queue",
    security(("apiKey" = ["admin", "read"])),
    responses((status = 200, body = inline(QueueStats))),
)]
pub async fn stats(State(app): State<Shared>, _: Viewer) -> Result<Json<QueueStats>, Problem> {
    let stats = queue::stats(&app).await?;
    Ok(Json(QueueStats {
        queued_ready: stats.queued_ready,
        queued_scheduled: stats.queued_scheduled,
        processing: stats.processing,
        dead_letter: stats.dead_letter,
        oldest_ready_age_ms: stats.oldest_ready_age.map(Millis::as_millis),
        as_of: stats.as_of.map(Timestamp::as_millis),
    }))
}
