use af_api::worker::outcome::{HeartbeatAnswer, HeartbeatRequest};
use af_app::worker::heartbeat as use_case;
use af_domain::ids::MessageId;
use af_domain::time::Timestamp;
use af_http::{ApiJson, ApiPath, Json, Problem};

use crate::caller::Caller;
use crate::conversions::{control, lease};

/// Extends a lease.
///
/// # Errors
/// 401 without a valid worker token, 422 for a malformed lease id.
#[utoipa::path(
    post, path = "/v1/worker/messages/{messageId}/heartbeat",
    operation_id = "workerHeartbeat", tag = "worker",
    security(("workerToken" = [])), request_body = inline(HeartbeatRequest),
    responses((status = 200, body = inline(HeartbeatAnswer))),
)]
pub async fn heartbeat(
    Caller { app, worker, .. }: Caller,
    ApiPath(message): ApiPath<MessageId>,
    ApiJson(request): ApiJson<HeartbeatRequest>,
) -> Result<Json<HeartbeatAnswer>, Problem> {
    let lease = lease(&request.lease_id, request.fence)?;
    let beat = use_case(&app, &worker, &message, &lease, request.progress.as_deref()).await?;
    Ok(Json(HeartbeatAnswer {
        held: beat.held,
        cancelled: beat.cancelled,
        lease_expires_at: beat.lease_expires_at.map(Timestamp::as_millis),
        control: control(beat.control),
        next_heartbeat_ms: beat.next_heartbeat.as_millis(),
    }))
}
