use af_api::queue::WhyAnswer;
use af_app::queue::{Why, why as use_case};
use af_domain::ids::MessageId;
use af_domain::time::Timestamp;
use af_http::{ApiPath, Json, Problem};

use crate::caller::Viewer;

/// Shows what a message waits for.
///
/// # Errors
/// 404 when there is no such message.
#[utoipa::path(
    get, path = "/v1/queue/{messageId}/why",
    operation_id = "explainWait", tag = "queue",
    security(("apiKey" = ["admin", "read"])),
    responses((status = 200, body = inline(WhyAnswer)), (status = 404, description = "not_found")),
)]
pub async fn why(Viewer(app): Viewer, ApiPath(id): ApiPath<MessageId>) -> Result<Json<WhyAnswer>, Problem> {
    let Why { status, waits_for, reason, until, worker, behind, pool } = use_case(&app, &id).await?;
    Ok(Json(WhyAnswer {
        message_id: id.to_string(),
        status: status.to_owned(),
        waits_for: waits_for.as_str().to_owned(),
        reason,
        until: until.map(Timestamp::as_millis),
        worker_id: worker.map(|worker| worker.to_string()),
        behind_message_id: behind.map(|message| message.to_string()),
        live_workers: pool.map(|(live, _)| live),
        max_workers: pool.map(|(_, max)| max),
    }))
}
