use af_api::pairing::{NewPairing, PairingBody, PairingRequest};
use af_api::problem::IdempotencyHeader;
use af_app::App;
use af_app::access::auth::Caller;
use af_app::agents::pairing::create as use_case;
use af_app::intake::idempotency;
use af_domain::ids::{AgentKey, ConsumerUserId};
use af_domain::time::Millis;
use af_http::{ApiJson, ApiPath, IdempotencyKey, Json, Problem, StatusCode};

use crate::caller::ConsumerApp;

/// Creates a pairing code. The pending code of the same user and agent expires. A repeated call with the same
/// `Idempotency-Key` within a day gets the same code.
///
/// # Errors
/// 404 for an unknown agent, 409 when the agent is disabled, has no bot, or the webhook of its bot is not ready, 422 naming
/// the field at fault, or when the idempotency key came with another request.
#[utoipa::path(
    post, path = "/v1/users/{consumerUserId}/agents/{agentKey}/pairing",
    operation_id = "createUserAgentPairing", tag = "pairing",
    security(("apiKey" = ["admin", "app"]), ("userToken" = [])), params(IdempotencyHeader), request_body = inline(PairingRequest),
    responses(
        (status = 201, body = NewPairing), (status = 404, description = "not_found"),
        (status = 409, description = "agent_disabled, not_configured"),
        (status = 422, description = "invalid_field, idempotency_mismatch"),
    ),
)]
pub async fn create(
    ConsumerApp { app, caller, .. }: ConsumerApp,
    ApiPath((user, agent)): ApiPath<(ConsumerUserId, AgentKey)>,
    key: Option<IdempotencyKey>,
    ApiJson(request): ApiJson<PairingRequest>,
) -> Result<(StatusCode, Json<NewPairing>), Problem> {
    made(&app, &caller, &user, &agent, request.ttl_ms, key).await
}

/// Creates a code and shows it.
pub async fn made(
    app: &App,
    caller: &Caller,
    user: &ConsumerUserId,
    agent: &AgentKey,
    ttl_ms: Option<u64>,
    key: Option<IdempotencyKey>,
) -> Result<(StatusCode, Json<NewPairing>), Problem> {
    let once = key.map(|key| {
        let ttl = ttl_ms.map(|ttl| ttl.to_string()).unwrap_or_default();
        let body = ["pairing", user.as_str(), agent.as_str(), &ttl];
        idempotency::call(app, &caller.key_id, key.as_str(), &body)
    });
    let made = use_case(app, user, agent, ttl_ms.map(Millis::new), once.as_ref()).await?;
    let pairing = PairingBody::at(made.pairing, app.now());
    Ok((StatusCode::CREATED, Json(NewPairing { pairing, deep_link: made.deep_link })))
}
