//! `POST /v1/conversations/{conversationId}/free`: ends a conversation's lease and removes its owner.

use af_api::conversations::{FreeAnswer, FreeRequest};
use af_api::problem::IdempotencyHeader;
use af_app::conversations::free as use_case;
use af_app::intake::idempotency;
use af_domain::ids::{ConversationId, Fence};
use af_http::{ApiJson, ApiPath, IdempotencyKey, Json, Problem};

use crate::caller::Operator;

/// Frees a conversation. The message that ran counts as a failed attempt, and the worker drains. A repeated call with
/// the same `Idempotency-Key` within a day frees nothing and gets the same answer.
///
/// # Errors
/// 404 when there is no such conversation; 409 when no worker has it, it was claimed again, or the same call is carried out at
/// the moment; 422 for a reason that is blank or too long, or when the idempotency key came with another request.
#[utoipa::path(
    post, path = "/v1/conversations/{conversationId}/free",
    operation_id = "freeConversation", tag = "conversations",
    security(("apiKey" = ["admin"])), params(IdempotencyHeader), request_body = inline(FreeRequest),
    responses(
        (status = 200, body = inline(FreeAnswer)), (status = 404, description = "not_found"),
        (status = 409, description = "conflict"),
        (status = 422, description = "invalid_field, idempotency_mismatch"),
    ),
)]
pub async fn free(
    Operator { app, caller }: Operator,
    ApiPath(id): ApiPath<ConversationId>,
    key: Option<IdempotencyKey>,
    ApiJson(request): ApiJson<FreeRequest>,
) -> Result<Json<FreeAnswer>, Problem> {
    let once = key.map(|key| {
        let fence = request.fence.map(|fence| fence.to_string()).unwrap_or_default();
        let body = ["free", id.as_str(), &request.reason, &fence];
        idempotency::call(&app, &caller.key_id, key.as_str(), &body)
    });
    let freed = use_case(&app, &id, &request.reason, request.fence.map(Fence));
    Ok(Json(idempotency::answered_once(&app, once.as_ref(), freed).await?))
}
