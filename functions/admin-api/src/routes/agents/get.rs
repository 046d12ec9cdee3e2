//! `GET /v1/agents/{agentKey}`.

use af_api::agents::AgentBody;
use af_app::agents::profiles;
use af_domain::ids::AgentKey;
use af_http::{ApiPath, Problem};
use axum::Json;
use axum::extract::State;

use crate::caller::Viewer;
use crate::state::Shared;

/// Shows a profile.
///
/// # Errors
/// 404 when there is no such agent.
#[utoipa::path(
    get, path = "/v1/agents/{agentKey}", tag = "agents",
    security(("apiKey" = ["admin", "read"])),
    responses((status = 200, body = AgentBody), (status = 404, description = "not_found")),
)]
pub async fn get(
    State(app): State<Shared>,
    _: Viewer,
    ApiPath(agent): ApiPath<AgentKey>,
) -> Result<Json<AgentBody>, Problem> {
    Ok(Json(profiles::get(&app, &agent).await?.into()))
}
