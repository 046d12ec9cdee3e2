use af_app::agents::profiles;
use af_domain::ids::AgentKey;
use af_http::{ApiPath, Problem, StatusCode};

use crate::caller::Operator;

/// Deletes a profile and releases its bot. Conversations and messages stay.
///
/// # Errors
/// 404 when there is no such agent.
#[utoipa::path(
    delete, path = "/v1/agents/{agentKey}",
    operation_id = "deleteAgent", tag = "agents",
    security(("apiKey" = ["admin"])),
    responses((status = 204), (status = 404, description = "not_found")),
)]
pub async fn delete(
    Operator { app, .. }: Operator,
    ApiPath(agent): ApiPath<AgentKey>,
) -> Result<StatusCode, Problem> {
    profiles::delete(&app, &agent).await?;
    Ok(StatusCode::NO_CONTENT)
}
