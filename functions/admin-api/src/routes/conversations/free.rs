//! `POST /v1/conversations/{conversationId}/free`: ends a conversation's lease and takes its owner away.

use af_app::conversations::{Freed, free as use_case};
use af_domain::ids::{ConversationId, Fence};
use af_http::{ApiJson, ApiPath, Problem};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tracing::Span;
use utoipa::ToSchema;

use crate::Shared;
use crate::caller::Operator;

/// Why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// 1 to 150 characters; stands in the error of the attempt that is ended.
    reason: String,
    /// Only the claim with this fence, as the conversation was shown with it. With it the call can be sent twice.
    #[serde(default)]
    fence: Option<u64>,
}

/// What was taken away.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    conversation_id: String,
    /// The worker that had it; it drains.
    worker_id: Option<String>,
    /// The message that ran.
    message_id: Option<String>,
    /// What has become of that message: `requeued`, `dead_letter` or `cancelled`.
    outcome: Option<&'static str>,
}

/// Frees a conversation. What ran counts as a failed attempt, and the worker drains.
///
/// # Errors
/// 404 when there is none; 409 when nobody has it, or it was claimed again; 422 for a reason that is blank or too long.
#[utoipa::path(
    post, path = "/v1/conversations/{conversationId}/free", tag = "conversations",
    security(("apiKey" = ["admin"])), request_body = inline(Request),
    responses(
        (status = 200, body = inline(Answer)), (status = 404, description = "not_found"),
        (status = 409, description = "conflict"),
    ),
)]
pub async fn free(
    State(app): State<Shared>,
    _: Operator,
    ApiPath(id): ApiPath<ConversationId>,
    ApiJson(request): ApiJson<Request>,
) -> Result<Json<Answer>, Problem> {
    Span::current().record("conversation_id", id.as_str());
    let Freed { worker, message } = use_case(&app, &id, &request.reason, request.fence.map(Fence)).await?;
    let (message, outcome) = message.unzip();
    Ok(Json(Answer {
        conversation_id: id.to_string(),
        worker_id: worker.map(|worker| worker.to_string()),
        message_id: message.map(|message| message.to_string()),
        outcome: outcome.map(|outcome| outcome.as_str()),
    }))
}
