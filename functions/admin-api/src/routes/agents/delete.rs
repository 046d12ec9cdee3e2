//! `DELETE /v1/agents/{agentKey}`.

use af_app::agents::profiles;
use af_domain::ids::AgentKey;
use af_http::{ApiPath, Problem};
use axum::extract::State;
use http::StatusCode;

use crate::caller::Operator;
use crate::state::Shared;

/// Deletes a profile and releases its bot. Conversations and messages stay.
///
/// # Errors
/// 404 when there is no such agent.
#[utoipa::path(
    delete, path = "/v1/agents/{agentKey}", tag = "agents",
    security(("apiKey" = ["admin"])),
    responses((status = 204), (status = 404, description = "not_found")),
)]
pub async fn delete(
    State(app): State<Shared>,
    _: Operator,
    ApiPath(agent): ApiPath<AgentKey>,
) -> Result<StatusCode, Problem> {
    profiles::delete(&app, &agent).await?;
    Ok(StatusCode::NO_CONTENT)
}
