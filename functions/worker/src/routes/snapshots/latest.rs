use af_api::worker::snapshots::{LatestSnapshot, LatestSnapshotQuery};
use af_app::files::snapshots::{Restorable, latest as use_case};
use af_domain::ids::ConversationId;
use af_domain::refusal::Refusal;
use af_domain::snapshot::FORMAT_VERSION;
use af_http::{ApiQuery, Json, Problem};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::caller::Caller;

/// Answers the latest ready snapshot of the caller's conversation, or 204 when there is none.
///
/// # Errors
/// 404 when the conversation is not the caller's.
#[utoipa::path(
    get, path = "/v1/worker/snapshots/latest", tag = "worker",
    security(("workerToken" = [])), params(LatestSnapshotQuery),
    responses(
        (status = 200, body = inline(LatestSnapshot)), (status = 204),
        (status = 404, description = "not_found"),
    ),
)]
pub async fn latest(
    Caller { app, objects, worker }: Caller,
    ApiQuery(query): ApiQuery<LatestSnapshotQuery>,
) -> Result<Response, Problem> {
    let conversation = ConversationId::parse(query.conversation_id).map_err(Refusal::from)?;
    Ok(match use_case(&app, &objects, &worker, &conversation).await? {
        Some(latest) => Json(answer(latest)).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

fn answer(latest: Restorable) -> LatestSnapshot {
    let content = latest.snapshot.content;
    LatestSnapshot {
        snapshot_id: latest.snapshot.id.to_string(),
        download_url: latest.download_url,
        sha256: content.as_ref().map(|c| c.sha256.to_string()),
        size_bytes: content.map(|c| c.size_bytes),
        created_at: latest.snapshot.created_at.as_millis(),
        format_version: FORMAT_VERSION,
    }
}
