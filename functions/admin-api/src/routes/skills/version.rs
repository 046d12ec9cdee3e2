use af_api::skills::VersionWithFiles;
use af_app::skills;
use af_domain::ids::{SkillSlug, SkillVersion};
use af_http::{ApiPath, Json, Problem};

use super::conversions::version_body;
use crate::caller::Viewer;

/// Shows a version with its files.
///
/// # Errors
/// 404 when there is none.
#[utoipa::path(
    get, path = "/v1/skills/{slug}/versions/{version}", tag = "skills",
    security(("apiKey" = ["admin", "read"])),
    responses((status = 200, body = inline(VersionWithFiles)), (status = 404, description = "not_found")),
)]
pub async fn get(
    Viewer(app): Viewer,
    ApiPath((slug, version)): ApiPath<(SkillSlug, SkillVersion)>,
) -> Result<Json<VersionWithFiles>, Problem> {
    let (view, files) = skills::version(&app, &slug, &version).await?;
    let files = files.into_iter().map(Into::into).collect();
    Ok(Json(VersionWithFiles { version: version_body(view), files }))
}
