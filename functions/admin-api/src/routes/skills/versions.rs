use af_api::pages::{Page, PageQuery};
use af_api::skills::VersionBody;
use af_app::skills;
use af_domain::ids::SkillSlug;
use af_http::{ApiPath, ApiQuery, Json, Problem};

use crate::caller::Viewer;
use crate::paging;

/// Lists versions with their releases, without their files.
///
/// # Errors
/// 404 when there is no such skill, 422 for a limit or cursor that is not acceptable.
#[utoipa::path(
    get, path = "/v1/skills/{slug}/versions",
    operation_id = "listSkillVersions", tag = "skills",
    security(("apiKey" = ["admin", "read"])), params(PageQuery),
    responses((status = 200, body = Page<VersionBody>), (status = 404, description = "not_found")),
)]
pub async fn list(
    Viewer(app): Viewer,
    ApiPath(slug): ApiPath<SkillSlug>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<VersionBody>>, Problem> {
    let listing = format!("versions of skill {slug}");
    let after = paging::after(&app, &listing, query.cursor.as_deref()).await?;
    let found = skills::versions(&app, &slug, query.limit.get() + 1, after.as_deref()).await?;
    let page =
        paging::page(&app, &listing, query.limit, found, |version| version.edition.version.clone()).await?;
    Ok(Json(page))
}
