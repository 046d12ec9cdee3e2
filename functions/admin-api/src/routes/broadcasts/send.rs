use af_api::broadcasts::{BroadcastBody, BroadcastRequest};
use af_api::problem::IdempotencyHeader;
use af_app::intake::idempotency;
use af_app::push::broadcasts::{self, NewBroadcast};
use af_http::{ApiJson, IdempotencyKey, Json, Problem, StatusCode};

use crate::caller::Operator;

/// Sends a text to every active agent: to each user of an enabled agent, and once to an enabled agent without users. The call
/// returns at once, and the dispatcher sends. A repeated call with the same `Idempotency-Key` within a day gets the same
/// broadcast.
///
/// # Errors
/// 422 naming the field at fault, or when the idempotency key came with another request.
#[utoipa::path(
    post, path = "/v1/broadcasts", tag = "push", operation_id = "sendBroadcastToAllActiveAgents",
    security(("apiKey" = ["admin"])), params(IdempotencyHeader), request_body = BroadcastRequest,
    responses(
        (status = 202, body = BroadcastBody),
        (status = 422, description = "invalid_field, idempotency_mismatch"),
    ),
)]
pub async fn send(
    Operator { app, caller }: Operator,
    key: Option<IdempotencyKey>,
    ApiJson(request): ApiJson<BroadcastRequest>,
) -> Result<(StatusCode, Json<BroadcastBody>), Problem> {
    let once = key.map(|key| {
        let said = serde_json::to_string(&request).unwrap_or_default();
        idempotency::call(&app, &caller.key_id, key.as_str(), &["broadcast", &said])
    });
    let new = NewBroadcast {
        company: request.company_id.map(|id| id.0),
        title: request.title,
        text: request.text,
        requested_by: request.requested_by.unwrap_or(caller.key_id),
    };
    let broadcast = broadcasts::send(&app, new, once.as_ref()).await?;
    Ok((StatusCode::ACCEPTED, Json(broadcast.into())))
}
