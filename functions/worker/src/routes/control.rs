use af_api::worker::control::{ControlAnswer, ControlQuery};
use af_app::worker::{control as use_case, expired};
use af_http::{ApiQuery, Json, Problem};

use crate::caller::MaybeExpiredWorker;
use crate::conversions;

/// Answers the caller's control state. The call is a sign of life. A caller with an expired token must stop.
///
/// # Errors
/// 401 without a worker token.
#[utoipa::path(
    get, path = "/v1/worker/control",
    operation_id = "workerControlState", tag = "worker",
    security(("workerToken" = [])), params(ControlQuery),
    responses((status = 200, body = inline(ControlAnswer))),
)]
pub async fn control(
    MaybeExpiredWorker { app, worker }: MaybeExpiredWorker,
    ApiQuery(query): ApiQuery<ControlQuery>,
) -> Result<Json<ControlAnswer>, Problem> {
    let conversation = query.conversation_id.as_ref().map(|id| &id.0);
    let polled = match worker {
        Some(worker) => use_case(&app, &worker, conversation).await?,
        None => expired(&app).await?,
    };
    let control = conversions::control(polled.control);
    Ok(Json(ControlAnswer { control, next_poll_ms: polled.next_poll.as_millis() }))
}
