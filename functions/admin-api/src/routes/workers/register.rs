use af_api::problem::IdempotencyHeader;
use af_api::workers::{RegisterAnswer, RegisterRequest};
use af_app::intake::idempotency;
use af_app::pool::workers;
use af_app::settings::public_url;
use af_domain::ids::{AgentKey, ConversationId};
use af_http::{ApiJson, IdempotencyKey, Json, Problem, PublicUrl, StatusCode};
use tracing::Span;

use crate::caller::Operator;

/// Registers a worker. A repeated call with the same `Idempotency-Key` within a day gets the same answer.
///
/// # Errors
/// 404 for an unknown conversation, 409 when the id is or was in use, or the conversation has an owner or belongs to
/// another agent; 422 when the idempotency key was used with another request.
#[utoipa::path(
    post, path = "/v1/workers",
    operation_id = "registerWorker", tag = "workers",
    security(("apiKey" = ["admin"])), params(IdempotencyHeader), request_body = inline(RegisterRequest),
    responses(
        (status = 201, body = inline(RegisterAnswer)), (status = 404, description = "not_found"),
        (status = 409, description = "already_exists, conflict, agent_mismatch, not_configured"),
        (status = 422, description = "invalid_field, idempotency_mismatch"),
    ),
)]
pub async fn register(
    Operator { app, caller }: Operator,
    PublicUrl(url): PublicUrl,
    key: Option<IdempotencyKey>,
    ApiJson(request): ApiJson<RegisterRequest>,
) -> Result<(StatusCode, Json<RegisterAnswer>), Problem> {
    Span::current().record("worker_id", request.worker_id.0.as_str());
    let conversation = request.conversation_id.as_ref().map(|id| &id.0);
    let agent = request.agent_key.as_ref().map(|key| &key.0);
    let url = public_url::required(&app, url.as_deref()).await?;
    let text = |id: Option<&str>| id.unwrap_or_default().to_owned();
    let (conversation_id, agent_key) =
        (text(conversation.map(ConversationId::as_str)), text(agent.map(AgentKey::as_str)));
    let once = key.map(|key| {
        let body = ["worker", request.worker_id.0.as_str(), &conversation_id, &agent_key];
        idempotency::call(&app, &caller.key_id, key.as_str(), &body)
    });
    let id = request.worker_id.0;
    let registered = workers::register(&app, id, conversation, agent, &url, once.as_ref()).await?;
    Ok((StatusCode::CREATED, Json(registered)))
}
