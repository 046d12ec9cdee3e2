use af_api::documents::DocumentBody;
use af_api::pages::{Page, PageQuery};
use af_app::documents::{self, Scope};
use af_domain::ids::AgentKey;
use af_http::{ApiPath, ApiQuery, Json, Problem};

use crate::caller::Viewer;
use crate::paging;

/// Lists the documents of the agent by path, without their texts.
///
/// # Errors
/// 404 when there is no such agent, 422 for a limit or cursor that is not acceptable.
#[utoipa::path(
    get, path = "/v1/agents/{agentKey}/documents",
    operation_id = "listDocuments", tag = "documents",
    security(("apiKey" = ["admin", "read"])), params(PageQuery),
    responses((status = 200, body = Page<DocumentBody>), (status = 404, description = "not_found")),
)]
pub async fn list(
    Viewer(app): Viewer,
    ApiPath(agent): ApiPath<AgentKey>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<DocumentBody>>, Problem> {
    let listing = format!("documents of agent {agent}");
    let scope = Scope { agent, user: None };
    let after = paging::after(&app, &listing, query.cursor.as_deref()).await?;
    let found = documents::list(&app, &scope, query.limit.get() + 1, after.as_deref()).await?;
    let page = paging::page(&app, &listing, query.limit, found, |document| document.path.to_string()).await?;
    Ok(Json(page.map(Into::into)))
}
