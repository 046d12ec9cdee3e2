//! `POST /v1/skills/{slug}/activate`: a rollback, or a promotion to another channel.

use af_api::skills::{ActivateRequest, SkillBody};
use af_app::skills;
use af_domain::ids::SkillSlug;
use af_http::{ApiJson, ApiPath, Json, Problem};

use crate::caller::Operator;

/// Makes a version that is deployed the channel's active release.
///
/// # Errors
/// 404 when there is no such skill or version, 409 when the skill is being deleted or the channel cannot take the
/// release. Nothing is written then.
#[utoipa::path(
    post, path = "/v1/skills/{slug}/activate",
    operation_id = "activateSkill", tag = "skills",
    security(("apiKey" = ["admin"])), request_body = inline(ActivateRequest),
    responses(
        (status = 200, body = SkillBody), (status = 404, description = "not_found"),
        (status = 409, description = "conflict"),
    ),
)]
pub async fn activate(
    Operator { app, .. }: Operator,
    ApiPath(slug): ApiPath<SkillSlug>,
    ApiJson(request): ApiJson<ActivateRequest>,
) -> Result<Json<SkillBody>, Problem> {
    let channel = request.release_channel.map(|channel| channel.0).unwrap_or_default();
    let skill = skills::activate(&app, &slug, &request.version.0, channel, &request.actor).await?;
    Ok(Json(skill.into()))
}
