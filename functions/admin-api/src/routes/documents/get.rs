use af_api::documents::{DocumentBody, DocumentQuery};
use af_app::documents::{self, Scope};
use af_domain::ids::{AgentKey, DocumentPath};
use af_http::{ApiPath, ApiQuery, Json, Problem};

use crate::caller::Viewer;

/// Shows a document of the agent with its text, or one of its versions.
///
/// # Errors
/// 404 when there is no such agent, document or version; 422 for a path that is no document.
#[utoipa::path(
    get, path = "/v1/agents/{agentKey}/documents/{*path}",
    operation_id = "getDocument", tag = "documents",
    security(("apiKey" = ["admin", "read"])), params(DocumentQuery),
    responses((status = 200, body = DocumentBody), (status = 404, description = "not_found")),
)]
pub async fn get(
    Viewer(app): Viewer,
    ApiPath((agent, path)): ApiPath<(AgentKey, DocumentPath)>,
    ApiQuery(query): ApiQuery<DocumentQuery>,
) -> Result<Json<DocumentBody>, Problem> {
    let scope = Scope { agent, user: None };
    Ok(Json(documents::get(&app, &scope, &path, query.version).await?.into()))
}
