use af_api::worker::outcome::{CompleteAnswer, CompleteRequest};
use af_app::worker::complete as use_case;
use af_domain::ids::MessageId;
use af_http::{ApiJson, ApiPath, Json, Problem};
use af_store::conversation::CompleteWith;

use crate::caller::Caller;
use crate::conversions::{delivered_by, history, lease, reply, tool_calls, usage};

/// Completes a message.
///
/// # Errors
/// 409 `stale_lease` when the lease is no longer in force; then nothing was written.
#[utoipa::path(
    post, path = "/v1/worker/messages/{messageId}/complete",
    operation_id = "workerComplete", tag = "worker",
    security(("workerToken" = [])), request_body = inline(CompleteRequest),
    responses((status = 200, body = inline(CompleteAnswer)), (status = 409, description = "stale_lease")),
)]
pub async fn complete(
    Caller { app, worker, .. }: Caller,
    ApiPath(message): ApiPath<MessageId>,
    ApiJson(request): ApiJson<CompleteRequest>,
) -> Result<Json<CompleteAnswer>, Problem> {
    let lease = lease(&request.lease_id, request.fence)?;
    let with = CompleteWith {
        history: history("/history", request.history, app.now())?,
        pending_tool_calls: tool_calls(request.pending_tool_calls),
        metadata: request.metadata,
        reply: request.reply.map(reply).transpose()?,
        delivery: None,
        usage: usage(request.usage)?,
    };
    let delivered_by = delivered_by(request.delivery.as_deref())?;
    use_case(&app, &worker, &message, &lease, with, delivered_by).await?;
    Ok(Json(CompleteAnswer { completed: true }))
}
