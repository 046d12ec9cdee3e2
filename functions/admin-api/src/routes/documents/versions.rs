use af_api::documents::{DocumentBody, DocumentVersionsQuery};
use af_api::pages::Page;
use af_app::documents::{self, Scope};
use af_domain::ids::AgentKey;
use af_http::{ApiPath, ApiQuery, Json, Problem};

use crate::caller::Viewer;
use crate::paging;

/// Lists the versions of a document of the agent, the newest first, without their texts. The newest 50 are kept.
///
/// # Errors
/// 404 when there is no such agent, 422 for a path, limit or cursor that is not acceptable.
#[utoipa::path(
    get, path = "/v1/agents/{agentKey}/document-versions",
    operation_id = "listDocumentVersions", tag = "documents",
    security(("apiKey" = ["admin", "read"])), params(DocumentVersionsQuery),
    responses((status = 200, body = Page<DocumentBody>), (status = 404, description = "not_found")),
)]
pub async fn versions(
    Viewer(app): Viewer,
    ApiPath(agent): ApiPath<AgentKey>,
    ApiQuery(query): ApiQuery<DocumentVersionsQuery>,
) -> Result<Json<Page<DocumentBody>>, Problem> {
    let path = query.path.0;
    let listing = format!("versions of {path} of agent {agent}");
    let scope = Scope { agent, user: None };
    let before = paging::after(&app, &listing, query.cursor.as_deref()).await?;
    let before = before.and_then(|version| version.parse().ok());
    let found = documents::versions(&app, &scope, &path, query.limit.get(), before).await?;
    let next = paging::seal(&app, &listing, found.next.map(|version| version.to_string())).await?;
    Ok(Json(Page::new(found.items, next).map(Into::into)))
}
