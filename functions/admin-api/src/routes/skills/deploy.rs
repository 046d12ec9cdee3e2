use af_api::skills::{DeployAnswer, DeployRequest};
use af_app::skills;
use af_http::{ApiJson, Json, Problem, StatusCode};

use crate::caller::Operator;

/// Deploys a version and makes it the channel's active release. Sent again with the same files, it is answered the same.
///
/// # Errors
/// 413 when the files are too large together, 422 naming the field at fault, 409 when the version is there with other
/// files, the skill is being deleted, or the channel cannot take the release. Nothing is written then.
#[utoipa::path(
    post, path = "/v1/skills",
    operation_id = "deploySkill", tag = "skills",
    security(("apiKey" = ["admin"])), request_body = inline(DeployRequest),
    responses(
        (status = 201, body = inline(DeployAnswer)), (status = 409, description = "conflict"),
        (status = 413, description = "payload_too_large"),
    ),
)]
pub async fn deploy(
    Operator { app, .. }: Operator,
    ApiJson(request): ApiJson<DeployRequest>,
) -> Result<(StatusCode, Json<DeployAnswer>), Problem> {
    Ok((StatusCode::CREATED, Json(skills::deploy(&app, request).await?)))
}
