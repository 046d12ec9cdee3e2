//! `POST /v1/users/{consumerUserId}/agents/{agentKey}/messages`: a user's message to the agent they are bound to.

use std::collections::BTreeMap;

use af_app::intake::send::{UserMessage, send as use_case};
use af_domain::ids::{AgentKey, ConsumerUserId};
use af_domain::time::Timestamp;
use af_http::{ApiJson, ApiPath, IdempotencyHeader, IdempotencyKey, Problem};
use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tracing::Span;
use utoipa::ToSchema;

use crate::Shared;
use crate::caller::ConsumerApp;

/// What the user says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// The text.
    content: String,
    /// More about it.
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    /// When it is due, epoch ms; now when left out or past.
    #[serde(default)]
    scheduled_for: Option<u64>,
    /// 0 to 100, higher runs first; the policy's default when left out.
    #[serde(default)]
    priority: Option<u64>,
}

/// A message that is accepted: it ends `done`, `dead_letter` or `cancelled`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    message_id: String,
}

/// Accepts a message, once per idempotency key. The answer goes to the user's chat when the binding has one.
///
/// # Errors
/// 404 when the user has no active binding, 409 when it is to another agent or the agent is disabled, 413, 422 naming
/// the field at fault or an idempotency key that came with another body, 429 when too many wait. Nothing is written
/// then.
#[utoipa::path(
    post, path = "/v1/users/{consumerUserId}/agents/{agentKey}/messages", tag = "messages",
    security(("apiKey" = ["admin", "app"])), params(IdempotencyHeader), request_body = inline(Request),
    responses(
        (status = 202, body = inline(Answer)), (status = 404, description = "not_found"),
        (status = 409, description = "conflict, agent_disabled"),
        (status = 413, description = "payload_too_large"),
        (status = 422, description = "invalid_field, idempotency_mismatch"),
        (status = 429, description = "queue_full"),
    ),
)]
pub async fn send(
    State(app): State<Shared>,
    ConsumerApp(caller): ConsumerApp,
    ApiPath((user, agent)): ApiPath<(ConsumerUserId, AgentKey)>,
    key: Option<IdempotencyKey>,
    ApiJson(request): ApiJson<Request>,
) -> Result<(StatusCode, Json<Answer>), Problem> {
    let said = UserMessage {
        content: request.content,
        metadata: request.metadata,
        scheduled_for: request.scheduled_for.map(Timestamp::from_millis),
        priority: request.priority,
        idempotency: key.map(|key| (caller.key_id, key.as_str().to_owned())),
    };
    let accepted = use_case(&app, &user, &agent, said).await?;
    Span::current().record("message_id", accepted.message.as_str());
    Ok((StatusCode::ACCEPTED, Json(Answer { message_id: accepted.message.to_string() })))
}
