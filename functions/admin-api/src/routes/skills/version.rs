use af_api::skills::VersionWithFiles;
use af_app::skills;
use af_domain::ids::{SkillSlug, SkillVersion};
use af_http::{ApiPath, Json, Problem};

use crate::caller::Viewer;

/// Shows a version with its files.
///
/// # Errors
/// 404 when there is none.
#[utoipa::path(
    get, path = "/v1/skills/{slug}/versions/{version}",
    operation_id = "getSkillVersion", tag = "skills",
    security(("apiKey" = ["admin", "read"])),
    responses((status = 200, body = inline(VersionWithFiles)), (status = 404, description = "not_found")),
)]
pub async fn get(
    Viewer(app): Viewer,
    ApiPath((slug, version)): ApiPath<(SkillSlug, SkillVersion)>,
) -> Result<Json<VersionWithFiles>, Problem> {
    Ok(Json(skills::version(&app, &slug, &version).await?))
}
