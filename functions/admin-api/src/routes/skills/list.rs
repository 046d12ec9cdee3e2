use af_api::pages::{Page, PageQuery};
use af_api::skills::SkillBody;
use af_app::skills;
use af_http::{ApiQuery, Json, Problem};

use crate::caller::Viewer;
use crate::paging;

const LISTING: &str = "skills";

/// Lists skills.
///
/// # Errors
/// 422 for a limit or cursor that is not acceptable.
#[utoipa::path(
    get, path = "/v1/skills",
    operation_id = "listSkills", tag = "skills",
    security(("apiKey" = ["admin", "read"])), params(PageQuery),
    responses((status = 200, body = Page<SkillBody>)),
)]
pub async fn list(
    Viewer(app): Viewer,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<SkillBody>>, Problem> {
    let after = paging::after(&app, LISTING, query.cursor.as_deref()).await?;
    let found = skills::list(&app, query.limit.get() + 1, after.as_deref()).await?;
    let page = paging::page(&app, LISTING, query.limit, found, |skill| skill.slug.to_string()).await?;
    Ok(Json(page.map(Into::into)))
}
