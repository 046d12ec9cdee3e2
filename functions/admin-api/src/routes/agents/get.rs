use af_api::agents::AgentBody;
use af_app::agents::profiles;
use af_domain::ids::AgentKey;
use af_http::{ApiPath, Json, Problem};

use crate::caller::Viewer;

/// Shows a profile.
///
/// # Errors
/// 404 when there is no such agent.
#[utoipa::path(
    get, path = "/v1/agents/{agentKey}",
    operation_id = "getAgent", tag = "agents",
    security(("apiKey" = ["admin", "read"])),
    responses((status = 200, body = AgentBody), (status = 404, description = "not_found")),
)]
pub async fn get(Viewer(app): Viewer, ApiPath(agent): ApiPath<AgentKey>) -> Result<Json<AgentBody>, Problem> {
    Ok(Json(profiles::get(&app, &agent).await?.into()))
}
