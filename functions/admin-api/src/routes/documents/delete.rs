use af_app::documents::{self, Scope, editor};
use af_domain::ids::{AgentKey, DocumentPath};
use af_http::{ApiPath, Problem, StatusCode};

use crate::caller::Operator;

/// Deletes a document of the agent. Its versions stay.
///
/// # Errors
/// 404 when there is no such agent or document; 422 for a path that is no document.
#[utoipa::path(
    delete, path = "/v1/agents/{agentKey}/documents/{*path}",
    operation_id = "deleteDocument", tag = "documents",
    security(("apiKey" = ["admin"])),
    responses((status = 204), (status = 404, description = "not_found")),
)]
pub async fn delete(
    Operator { app, caller }: Operator,
    ApiPath((agent, path)): ApiPath<(AgentKey, DocumentPath)>,
) -> Result<StatusCode, Problem> {
    let scope = Scope { agent, user: None };
    documents::delete(&app, &scope, &path, &editor(&caller)).await?;
    Ok(StatusCode::NO_CONTENT)
}
