//! `POST /v1/worker/messages/{messageId}/heartbeat`: keeps a lease alive.

use af_app::worker::heartbeat as use_case;
use af_domain::ids::MessageId;
use af_domain::time::Timestamp;
use af_http::{ApiJson, ApiPath, Problem};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Shared;
use crate::caller::Caller;
use crate::wire::{ControlBody, lease};

/// A heartbeat.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    lease_id: String,
    fence: u64,
    /// What the worker has to say of its progress, shown with the message.
    #[serde(default)]
    progress: Option<String>,
}

/// What a worker is answered. A lease that is lost is an answer, not an error.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    held: bool,
    cancelled: bool,
    /// Epoch ms by the server's clock; `null` when the lease is lost.
    lease_expires_at: Option<u64>,
    control: ControlBody,
    /// How long to wait before the next heartbeat, ms.
    next_heartbeat_ms: u64,
}

/// Extends a lease.
///
/// # Errors
/// 401 without a valid worker token, 422 for a lease id that is none.
#[utoipa::path(
    post, path = "/v1/worker/messages/{messageId}/heartbeat", tag = "worker",
    security(("workerToken" = [])), request_body = inline(Request),
    responses((status = 200, body = inline(Answer))),
)]
pub async fn heartbeat(
    State(app): State<Shared>,
    Caller(worker): Caller,
    ApiPath(message): ApiPath<MessageId>,
    ApiJson(request): ApiJson<Request>,
) -> Result<Json<Answer>, Problem> {
    let lease = lease(&request.lease_id, request.fence)?;
    let beat = use_case(&app, &worker, &message, &lease, request.progress.as_deref()).await?;
    Ok(Json(Answer {
        held: beat.held,
        cancelled: beat.cancelled,
        lease_expires_at: beat.lease_expires_at.map(Timestamp::as_millis),
        control: beat.control.into(),
        next_heartbeat_ms: beat.next_heartbeat.as_millis(),
    }))
}
