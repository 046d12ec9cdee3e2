use af_api::agents::AgentBody;
use af_api::pages::{Page, PageQuery};
use af_app::agents::profiles;
use af_http::{ApiQuery, Json, Problem};

use crate::caller::Viewer;
use crate::paging;

const LISTING: &str = "agents";

/// Lists profiles.
///
/// # Errors
/// 422 for a limit or cursor that is not acceptable.
#[utoipa::path(
    get, path = "/v1/agents",
    operation_id = "listAgents", tag = "agents",
    security(("apiKey" = ["admin", "read"])), params(PageQuery),
    responses((status = 200, body = Page<AgentBody>)),
)]
pub async fn list(
    Viewer(app): Viewer,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<AgentBody>>, Problem> {
    let after = paging::after(&app, LISTING, query.cursor.as_deref()).await?;
    let found = profiles::list(&app, query.limit.get() + 1, after.as_deref()).await?;
    let page = paging::page(&app, LISTING, query.limit, found, |agent| agent.key.to_string()).await?;
    Ok(Json(page.map(Into::into)))
}
