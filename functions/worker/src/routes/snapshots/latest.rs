use af_api::worker::snapshots::{LatestSnapshot, LatestSnapshotQuery};
use af_app::files::snapshots::latest as use_case;
use af_domain::ids::ConversationId;
use af_domain::refusal::Refusal;
use af_http::{ApiQuery, Json, Problem};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::caller::Caller;

/// Answers the latest ready snapshot of the caller's conversation, or 204 when there is none.
///
/// # Errors
/// 404 when the conversation is not the caller's.
#[utoipa::path(
    get, path = "/v1/worker/snapshots/latest",
    operation_id = "workerLatestSnapshot", tag = "worker",
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
        Some(latest) => Json(latest).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}
