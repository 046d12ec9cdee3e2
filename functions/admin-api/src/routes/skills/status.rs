use af_api::skills::{SkillBody, SkillStatusRequest, SkillSwitch};
use af_app::skills;
use af_domain::ids::SkillSlug;
use af_http::{ApiJson, ApiPath, Json, Problem};

use crate::caller::Operator;

/// Disables or enables a skill.
///
/// # Errors
/// 404 when there is none, 409 when it is being deleted or a channel cannot take it back. Nothing is written then.
#[utoipa::path(
    put, path = "/v1/skills/{slug}/status",
    operation_id = "setSkillStatus", tag = "skills",
    security(("apiKey" = ["admin"])), request_body = inline(SkillStatusRequest),
    responses(
        (status = 200, body = SkillBody), (status = 404, description = "not_found"),
        (status = 409, description = "conflict"),
    ),
)]
pub async fn put(
    Operator { app, .. }: Operator,
    ApiPath(slug): ApiPath<SkillSlug>,
    ApiJson(request): ApiJson<SkillStatusRequest>,
) -> Result<Json<SkillBody>, Problem> {
    let enabled = request.status == SkillSwitch::Active;
    Ok(Json(skills::set_status(&app, &slug, enabled, &request.actor).await?.into()))
}
