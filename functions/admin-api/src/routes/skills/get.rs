use af_api::skills::SkillBody;
use af_app::skills;
use af_domain::ids::SkillSlug;
use af_http::{ApiPath, Json, Problem};

use crate::caller::Viewer;

/// Shows a skill with its active releases.
///
/// # Errors
/// 404 when there is none.
#[utoipa::path(
    get, path = "/v1/skills/{slug}",
    operation_id = "getSkill", tag = "skills",
    security(("apiKey" = ["admin", "read"])),
    responses((status = 200, body = SkillBody), (status = 404, description = "not_found")),
)]
pub async fn get(Viewer(app): Viewer, ApiPath(slug): ApiPath<SkillSlug>) -> Result<Json<SkillBody>, Problem> {
    Ok(Json(skills::get(&app, &slug).await?.into()))
}
