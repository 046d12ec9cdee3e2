use af_api::messages::{EnqueueAnswer, EnqueueRequest};
use af_api::problem::IdempotencyHeader;
use af_app::intake::enqueue::{Enqueue, Identity, enqueue as use_case};
use af_domain::time::Timestamp;
use af_http::{ApiJson, IdempotencyKey, Json, Problem, StatusCode};
use tracing::Span;

use crate::caller::Sender;

/// Accepts a message, once per idempotency key.
///
/// # Errors
/// 404 for an unknown agent; 409 for a disabled one or another agent's conversation; 413; 422 with the field at fault or
/// for an idempotency key that was used with another body; 429 when too many messages wait. A refused call writes nothing.
#[utoipa::path(
    post, path = "/v1/messages",
    operation_id = "enqueueMessage", tag = "messages",
    security(("apiKey" = ["admin", "app"])), params(IdempotencyHeader), request_body = inline(EnqueueRequest),
    responses(
        (status = 202, body = inline(EnqueueAnswer)), (status = 404, description = "not_found"),
        (status = 409, description = "agent_disabled, agent_mismatch"),
        (status = 413, description = "payload_too_large"),
        (status = 422, description = "invalid_field, idempotency_mismatch"),
        (status = 429, description = "queue_full"),
    ),
)]
pub async fn enqueue(
    Sender { app, caller }: Sender,
    key: Option<IdempotencyKey>,
    ApiJson(request): ApiJson<EnqueueRequest>,
) -> Result<(StatusCode, Json<EnqueueAnswer>), Problem> {
    let (conversation, agent) = (request.conversation_id.0, request.agent_key.0);
    let span = Span::current();
    span.record("conversation_id", conversation.as_str()).record("agent_key", agent.as_str());
    let identity = match key {
        Some(key) => Identity::Key { caller: caller.key_id, key: key.as_str().to_owned(), sent: None },
        None => Identity::Fresh,
    };
    let wanted = Enqueue {
        identity,
        conversation,
        agent,
        payload: request.payload.into(),
        priority: request.priority,
        scheduled_for: request.scheduled_for.map(Timestamp::from_millis),
        max_attempts: request.max_attempts,
    };
    let accepted = use_case(&app, wanted).await?;
    span.record("message_id", accepted.message.as_str());
    let answer = EnqueueAnswer { message_id: accepted.message.to_string(), duplicate: accepted.duplicate };
    Ok((StatusCode::ACCEPTED, Json(answer)))
}
