//! `GET /v1/queue/stats`.

use af_app::queue;
use af_domain::time::{Millis, Timestamp};
use af_http::Problem;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Shared;
use crate::caller::Viewer;

/// How much waits, runs and is dead. The counts follow the table's stream, mostly a second or two behind, a minute at
/// most.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// Messages that may run now.
    queued_ready: i64,
    /// Messages that wait for a time: scheduled, or for their retry.
    queued_scheduled: i64,
    /// Messages that run.
    processing: i64,
    /// Dead letters.
    dead_letter: i64,
    /// How long the conversation has waited that waits longest for a worker, ms; null when none does.
    oldest_ready_age_ms: Option<u64>,
    /// When the counts were last brought up to date, epoch ms; null before the first change.
    as_of: Option<u64>,
}

/// Answers the queue in figures.
///
/// # Errors
/// When they cannot be read.
#[utoipa::path(
    get, path = "/v1/queue/stats", tag = "queue",
    security(("apiKey" = ["admin", "read"])),
    responses((status = 200, body = inline(Answer))),
)]
pub async fn stats(State(app): State<Shared>, _: Viewer) -> Result<Json<Answer>, Problem> {
    let stats = queue::stats(&app).await?;
    Ok(Json(Answer {
        queued_ready: stats.queued_ready,
        queued_scheduled: stats.queued_scheduled,
        processing: stats.processing,
        dead_letter: stats.dead_letter,
        oldest_ready_age_ms: stats.oldest_ready_age.map(Millis::as_millis),
        as_of: stats.as_of.map(Timestamp::as_millis),
    }))
}
