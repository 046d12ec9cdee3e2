use af_api::messages::{SendAnswer, SendRequest};
use af_api::problem::IdempotencyHeader;
use af_app::intake::send::{Content, UserMessage, send as use_case};
use af_domain::ids::{AgentKey, ConsumerUserId};
use af_domain::time::Timestamp;
use af_http::{ApiJson, ApiPath, IdempotencyKey, Json, Problem, StatusCode};
use tracing::Span;

use crate::caller::ConsumerApp;

/// Accepts a message, once per idempotency key. The reply goes to the user's chat when the binding has one.
///
/// # Errors
/// 404 when the user has no active binding or the template does not exist, 409 when the binding names another agent or the agent is disabled, 413, 422 with
/// the field at fault or for an idempotency key that was used with another body, 429 when too many messages wait. A
/// refused call writes nothing.
#[utoipa::path(
    post, path = "/v1/users/{consumerUserId}/agents/{agentKey}/messages",
    operation_id = "sendMessageToUserAgent", tag = "messages",
    security(("apiKey" = ["admin", "app"]), ("userToken" = [])), params(IdempotencyHeader), request_body = inline(SendRequest),
    responses(
        (status = 202, body = inline(SendAnswer)), (status = 404, description = "not_found"),
        (status = 409, description = "conflict, agent_disabled"),
        (status = 413, description = "payload_too_large"),
        (status = 422, description = "invalid_field, idempotency_mismatch"),
        (status = 429, description = "queue_full"),
    ),
)]
pub async fn send(
    ConsumerApp { app, caller, .. }: ConsumerApp,
    ApiPath((user, agent)): ApiPath<(ConsumerUserId, AgentKey)>,
    key: Option<IdempotencyKey>,
    ApiJson(request): ApiJson<SendRequest>,
) -> Result<(StatusCode, Json<SendAnswer>), Problem> {
    let said = UserMessage {
        content: Content::of(request.content, request.template_id.map(|id| id.0))?,
        metadata: request.metadata,
        scheduled_for: request.scheduled_for.map(Timestamp::from_millis),
        priority: request.priority,
        idempotency: key.map(|key| (caller.key_id, key.as_str().to_owned())),
    };
    let accepted = use_case(&app, &user, &agent, said).await?;
    Span::current().record("message_id", accepted.message.as_str());
    Ok((StatusCode::ACCEPTED, Json(SendAnswer { message_id: accepted.message.to_string() })))
}
