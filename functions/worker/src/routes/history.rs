use af_api::worker::history::{AppendHistoryAnswer, AppendHistoryRequest};
use af_app::worker::append as use_case;
use af_domain::ids::ConversationId;
use af_http::{ApiJson, ApiPath, Json, Problem};

use crate::caller::Caller;
use crate::conversions::{history, lease, tool_calls};

/// Appends to the history.
///
/// # Errors
/// 409 `stale_lease` when the lease is no longer in force, 409 `out_of_order` when `ordinal` does not follow.
#[utoipa::path(
    post, path = "/v1/worker/conversations/{conversationId}/history",
    operation_id = "workerAppendHistory", tag = "worker",
    security(("workerToken" = [])), request_body = inline(AppendHistoryRequest),
    responses(
        (status = 200, body = inline(AppendHistoryAnswer)),
        (status = 409, description = "stale_lease, out_of_order"),
    ),
)]
pub async fn append(
    Caller { app, worker, .. }: Caller,
    ApiPath(conversation): ApiPath<ConversationId>,
    ApiJson(request): ApiJson<AppendHistoryRequest>,
) -> Result<Json<AppendHistoryAnswer>, Problem> {
    let lease = lease(&request.lease_id, request.fence)?;
    let messages = history("/messages", request.messages, app.now())?;
    let calls = tool_calls(request.pending_tool_calls);
    use_case(&app, &worker, &conversation, &lease, request.ordinal, &messages, calls.as_deref()).await?;
    Ok(Json(AppendHistoryAnswer { appended: messages.len() }))
}
