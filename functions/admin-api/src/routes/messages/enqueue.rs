//! `POST /v1/messages`: enqueues a message into any conversation.

use std::collections::BTreeMap;

use af_app::intake::enqueue::{Enqueue, Identity, enqueue as use_case};
use af_domain::ids::{AgentKey, ConversationId};
use af_domain::message::Payload;
use af_domain::time::Timestamp;
use af_http::{ApiJson, Id, IdempotencyHeader, IdempotencyKey, Problem};
use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tracing::Span;
use utoipa::ToSchema;

use crate::Shared;
use crate::caller::Sender;

/// A message.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    #[schema(value_type = String)]
    conversation_id: Id<ConversationId>,
    /// Must be the conversation's agent, once it has one.
    #[schema(value_type = String)]
    agent_key: Id<AgentKey>,
    payload: PayloadRequest,
    /// 0 to 100, higher runs first; the policy's default when left out.
    #[serde(default)]
    priority: Option<u64>,
    /// When it is due, epoch ms; now when left out or past.
    #[serde(default)]
    scheduled_for: Option<u64>,
    /// Claims before it is a dead letter; the policy's default when left out.
    #[serde(default)]
    max_attempts: Option<u32>,
}

/// What the message carries: at most 256 KB as JSON.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PayloadRequest {
    /// Where it comes from and where the answer goes: `telegram`, `system_push`, or the caller's own word.
    provider: String,
    /// Who sent it; for Telegram the chat to answer.
    provider_user_id: String,
    /// The text.
    message_text: String,
    /// The provider's own id of it.
    #[serde(default)]
    external_message_id: Option<String>,
    /// The provider's update as it came.
    #[serde(default)]
    raw_update_json: Option<String>,
    /// More about it.
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

/// A message that is accepted: it ends `done`, `dead_letter` or `cancelled`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    message_id: String,
    /// Whether an earlier call with the same idempotency key had it accepted.
    duplicate: bool,
}

/// Accepts a message, once per idempotency key.
///
/// # Errors
/// 404 for an unknown agent, 409 for a disabled one or another agent's conversation, 413, 422 naming the field at
/// fault or an idempotency key that came with another body, 429 when too many wait. Nothing is written then.
#[utoipa::path(
    post, path = "/v1/messages", tag = "messages",
    security(("apiKey" = ["admin", "app"])), params(IdempotencyHeader), request_body = inline(Request),
    responses(
        (status = 202, body = inline(Answer)), (status = 404, description = "not_found"),
        (status = 409, description = "agent_disabled, agent_mismatch"),
        (status = 413, description = "payload_too_large"),
        (status = 422, description = "invalid_field, idempotency_mismatch"),
        (status = 429, description = "queue_full"),
    ),
)]
pub async fn enqueue(
    State(app): State<Shared>,
    Sender(caller): Sender,
    key: Option<IdempotencyKey>,
    ApiJson(request): ApiJson<Request>,
) -> Result<(StatusCode, Json<Answer>), Problem> {
    let (conversation, agent) = (request.conversation_id.0, request.agent_key.0);
    let span = Span::current();
    span.record("conversation_id", conversation.as_str()).record("agent_key", agent.as_str());
    let identity = match key {
        Some(key) => Identity::Key { caller: caller.key_id, key: key.as_str().to_owned() },
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
    let answer = Answer { message_id: accepted.message.to_string(), duplicate: accepted.duplicate };
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

impl From<PayloadRequest> for Payload {
    fn from(payload: PayloadRequest) -> Self {
        Self {
            provider: payload.provider,
            provider_user_id: payload.provider_user_id,
            message_text: payload.message_text,
            external_message_id: payload.external_message_id,
            raw_update_json: payload.raw_update_json,
            metadata: payload.metadata,
            ..Self::default()
        }
    }
}
