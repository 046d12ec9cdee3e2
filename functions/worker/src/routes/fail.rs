//! `POST /v1/worker/messages/{messageId}/fail`: an attempt ended without success.

use af_app::worker as use_case;
use af_domain::ids::MessageId;
use af_domain::time::Timestamp;
use af_http::{ApiJson, ApiPath, Problem};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Shared;
use crate::caller::Caller;
use crate::wire::lease;

/// How the attempt ended.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    lease_id: String,
    fence: u64,
    /// Why; kept as the message's last error.
    error_message: String,
    /// Whether another attempt may help. Of no account where `drained` is set.
    #[serde(default = "yes")]
    retryable: bool,
    /// Whether the worker had to leave before the message was done. The attempt does not count then, at most three
    /// times a message, if it was the factory that told it to leave.
    #[serde(default)]
    drained: bool,
}

const fn yes() -> bool {
    true
}

/// What becomes of the message.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    requeued: bool,
    dead_lettered: bool,
    /// When the retry is due, epoch ms; `null` for a dead letter.
    next_scheduled_for: Option<u64>,
}

/// Gives a message back.
///
/// # Errors
/// 409 `stale_lease` when the lease is not in force any more; nothing was written then.
#[utoipa::path(
    post, path = "/v1/worker/messages/{messageId}/fail", tag = "worker",
    security(("workerToken" = [])), request_body = inline(Request),
    responses((status = 200, body = inline(Answer)), (status = 409, description = "stale_lease")),
)]
pub async fn fail(
    State(app): State<Shared>,
    Caller(worker): Caller,
    ApiPath(message): ApiPath<MessageId>,
    ApiJson(request): ApiJson<Request>,
) -> Result<Json<Answer>, Problem> {
    let lease = lease(&request.lease_id, request.fence)?;
    let error = &request.error_message;
    let failed = if request.drained {
        use_case::leave(&app, &worker, &message, &lease, error).await?
    } else {
        use_case::fail(&app, &worker, &message, &lease, error, request.retryable).await?
    };
    Ok(Json(Answer {
        requeued: failed.requeued,
        dead_lettered: failed.dead_lettered,
        next_scheduled_for: failed.next_scheduled_for.map(Timestamp::as_millis),
    }))
}
