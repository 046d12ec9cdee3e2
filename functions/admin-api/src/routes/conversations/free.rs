//! `POST /v1/conversations/{conversationId}/free`: ends a conversation's lease and removes its owner.

use af_api::conversations::{FreeAnswer, FreeRequest};
use af_app::conversations::free as use_case;
use af_domain::ids::{ConversationId, Fence};
use af_http::{ApiJson, ApiPath, Json, Problem};

use crate::caller::Operator;

/// Frees a conversation. The message that ran counts as a failed attempt, and the worker drains.
///
/// # Errors
/// 404 when there is no such conversation; 409 when no worker has it, or it was claimed again; 422 for a reason that is
/// blank or too long.
#[utoipa::path(
    post, path = "/v1/conversations/{conversationId}/free",
    operation_id = "freeConversation", tag = "conversations",
    security(("apiKey" = ["admin"])), request_body = inline(FreeRequest),
    responses(
        (status = 200, body = inline(FreeAnswer)), (status = 404, description = "not_found"),
        (status = 409, description = "conflict"),
    ),
)]
pub async fn free(
    Operator { app, .. }: Operator,
    ApiPath(id): ApiPath<ConversationId>,
    ApiJson(request): ApiJson<FreeRequest>,
) -> Result<Json<FreeAnswer>, Problem> {
    Ok(Json(use_case(&app, &id, &request.reason, request.fence.map(Fence)).await?))
}
