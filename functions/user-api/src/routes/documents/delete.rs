use af_app::documents::{self, Scope, editor};
use af_domain::ids::{AgentKey, ConsumerUserId, DocumentPath};
use af_http::{ApiPath, Problem, StatusCode};

use crate::caller::ConsumerApp;

/// Deletes a document of the user with the agent. Its versions stay.
///
/// # Errors
/// 404 when there is no such agent or document; 422 for a path that is no document.
#[utoipa::path(
    delete, path = "/v1/users/{consumerUserId}/agents/{agentKey}/documents/{*path}",
    operation_id = "deleteUserDocument", tag = "documents",
    security(("apiKey" = ["admin", "app"]), ("userToken" = [])),
    responses((status = 204), (status = 404, description = "not_found")),
)]
pub async fn delete(
    ConsumerApp { app, caller, .. }: ConsumerApp,
    ApiPath((user, agent, path)): ApiPath<(ConsumerUserId, AgentKey, DocumentPath)>,
) -> Result<StatusCode, Problem> {
    let scope = Scope { agent, user: Some(user) };
    documents::delete(&app, &scope, &path, &editor(&caller)).await?;
    Ok(StatusCode::NO_CONTENT)
}
