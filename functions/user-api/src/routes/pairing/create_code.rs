use af_api::pairing::{NewPairing, PairingCodeRequest};
use af_api::problem::IdempotencyHeader;
use af_http::{ApiJson, IdempotencyKey, Json, Problem, StatusCode};

use crate::caller::KeyHolder;
use crate::routes::pairing::create::made;

/// Creates a pairing code, for a caller that prefers the user and the agent in the body.
///
/// # Errors
/// 404 for an unknown agent, 409 when the agent is disabled, has no bot, or the webhook of its bot is not ready, 422 naming
/// the field at fault, or when the idempotency key came with another request.
#[utoipa::path(
    post, path = "/v1/pairing-codes",
    operation_id = "createPairingCode", tag = "pairing",
    security(("apiKey" = ["admin", "app"])), params(IdempotencyHeader), request_body = inline(PairingCodeRequest),
    responses(
        (status = 201, body = NewPairing), (status = 404, description = "not_found"),
        (status = 409, description = "agent_disabled, not_configured"),
        (status = 422, description = "invalid_field, idempotency_mismatch"),
    ),
)]
pub async fn create(
    KeyHolder { app, caller }: KeyHolder,
    key: Option<IdempotencyKey>,
    ApiJson(request): ApiJson<PairingCodeRequest>,
) -> Result<(StatusCode, Json<NewPairing>), Problem> {
    made(&app, &caller, &request.consumer_user_id.0, &request.agent_key.0, request.ttl_ms, key).await
}
