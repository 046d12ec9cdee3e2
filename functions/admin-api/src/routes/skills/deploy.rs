use af_api::problem::IdempotencyHeader;
use af_api::skills::{DeployAnswer, DeployRequest};
use af_app::intake::idempotency;
use af_app::skills;
use af_http::{ApiJson, IdempotencyKey, Json, Problem, StatusCode};

use crate::caller::Operator;

/// Deploys a version and makes it the channel's active release. Sent again with the same files, it is answered the same.
/// A repeated call with the same `Idempotency-Key` within a day releases nothing, also when another version is active by now.
///
/// # Errors
/// 413 when the files are too large together, 422 naming the field at fault, or when the idempotency key came with another
/// request; 409 when the version is there with other files, the skill is being deleted, the channel cannot take the release,
/// or the same call is carried out at the moment. Nothing is written then.
#[utoipa::path(
    post, path = "/v1/skills",
    operation_id = "deploySkill", tag = "skills",
    security(("apiKey" = ["admin"])), params(IdempotencyHeader), request_body = inline(DeployRequest),
    responses(
        (status = 201, body = inline(DeployAnswer)), (status = 409, description = "conflict"),
        (status = 413, description = "payload_too_large"),
        (status = 422, description = "invalid_field, idempotency_mismatch"),
    ),
)]
pub async fn deploy(
    Operator { app, caller }: Operator,
    key: Option<IdempotencyKey>,
    ApiJson(request): ApiJson<DeployRequest>,
) -> Result<(StatusCode, Json<DeployAnswer>), Problem> {
    let once = key.map(|key| {
        let body = serde_json::to_string(&request).expect("a request is JSON");
        idempotency::call(&app, &caller.key_id, key.as_str(), &["skill", &body])
    });
    let deployed = idempotency::answered_once(&app, once.as_ref(), skills::deploy(&app, request)).await?;
    Ok((StatusCode::CREATED, Json(deployed)))
}
