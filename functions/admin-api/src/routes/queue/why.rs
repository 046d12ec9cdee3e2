//! `GET /v1/queue/{messageId}/why`: what a message waits for.

use af_app::queue::{Why, why as use_case};
use af_domain::ids::MessageId;
use af_domain::time::Timestamp;
use af_http::{ApiPath, Problem};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Shared;
use crate::caller::Viewer;

/// What a message waits for, in words and in parts.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    message_id: String,
    status: &'static str,
    /// `nothing` when it has ended; `its_worker` while it runs; `retry_time`, `scheduled_time`, `attachments`,
    /// `another_message`;
    /// `owners_poll`, `owners_drain`, `workers_start`, `free_workers_poll`; `reconcile`, `place_in_pool`, `provider`,
    /// `new_worker`.
    waits_for: &'static str,
    /// The same in words.
    reason: String,
    /// Until when at the latest, epoch ms; left out where nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
    /// The worker that it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    worker_id: Option<String>,
    /// The message that it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    behind_message_id: Option<String>,
    /// Workers that are alive, when it waits for a place among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    live_workers: Option<usize>,
    /// How many may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_workers: Option<u64>,
}

/// Tells what a message waits for.
///
/// # Errors
/// 404 when there is none.
#[utoipa::path(
    get, path = "/v1/queue/{messageId}/why", tag = "queue",
    security(("apiKey" = ["admin", "read"])),
    responses((status = 200, body = inline(Answer)), (status = 404, description = "not_found")),
)]
pub async fn why(
    State(app): State<Shared>,
    _: Viewer,
    ApiPath(id): ApiPath<MessageId>,
) -> Result<Json<Answer>, Problem> {
    let Why { status, waits_for, reason, until, worker, behind, pool } = use_case(&app, &id).await?;
    Ok(Json(Answer {
        message_id: id.to_string(),
        status,
        waits_for: waits_for.as_str(),
        reason,
        until: until.map(Timestamp::as_millis),
        worker_id: worker.map(|worker| worker.to_string()),
        behind_message_id: behind.map(|message| message.to_string()),
        live_workers: pool.map(|(live, _)| live),
        max_workers: pool.map(|(_, max)| max),
    }))
}
