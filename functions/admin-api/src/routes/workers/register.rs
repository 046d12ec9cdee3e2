//! `POST /v1/workers`: registers a worker that somebody starts by hand.

use std::collections::BTreeMap;

use af_app::intake::idempotency;
use af_app::pool::workers;
use af_app::settings::public_url;
use af_domain::ids::{AgentKey, ConversationId, WorkerId};
use af_http::{ApiJson, Id, IdempotencyHeader, IdempotencyKey, Problem, PublicUrl};
use axum::Json;
use axum::extract::State;
use http::StatusCode;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use tracing::Span;
use utoipa::ToSchema;

use crate::Shared;
use crate::caller::Operator;

/// Which worker.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// An id that no worker has or had.
    #[schema(value_type = String)]
    worker_id: Id<WorkerId>,
    /// The agent that the conversation must belong to.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    agent_key: Option<Id<AgentKey>>,
    /// The conversation to assign it to; without one it takes what waits.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    conversation_id: Option<Id<ConversationId>>,
}

/// A registered worker. The token is shown this once.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    worker_id: String,
    token: String,
    /// When the token ends, epoch ms.
    expires_at: u64,
    /// The environment to start it with; holds the token.
    env: BTreeMap<String, String>,
}

/// Registers a worker. Sent again with the same `Idempotency-Key` within a day, it is answered as before.
///
/// # Errors
/// 404 for an unknown conversation, 409 when the id is or was in use, or the conversation has an owner or belongs to
/// another agent; 422 when the idempotency key came with another request.
#[utoipa::path(
    post, path = "/v1/workers", tag = "workers",
    security(("apiKey" = ["admin"])), params(IdempotencyHeader), request_body = inline(Request),
    responses(
        (status = 201, body = inline(Answer)), (status = 404, description = "not_found"),
        (status = 409, description = "already_exists, conflict, agent_mismatch, not_configured"),
        (status = 422, description = "invalid_field, idempotency_mismatch"),
    ),
)]
pub async fn register(
    State(app): State<Shared>,
    Operator(caller): Operator,
    PublicUrl(url): PublicUrl,
    key: Option<IdempotencyKey>,
    ApiJson(request): ApiJson<Request>,
) -> Result<(StatusCode, Json<Answer>), Problem> {
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
    let answer = Answer {
        worker_id: registered.worker.id.to_string(),
        token: registered.token.expose_secret().to_owned(),
        expires_at: registered.expires_at.as_millis(),
        env: registered.env,
    };
    Ok((StatusCode::CREATED, Json(answer)))
}
