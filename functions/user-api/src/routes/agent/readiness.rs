use af_api::onboarding::AgentReadiness;
use af_app::agents::onboarding::readiness as use_case;
use af_domain::ids::{AgentKey, ConsumerUserId};
use af_http::{ApiPath, Json, Problem};

use crate::caller::ConsumerApp;

/// Shows what an agent has, and what it still needs to answer people on Telegram.
///
/// # Errors
/// 404 for an unknown agent.
#[utoipa::path(
    get, path = "/v1/users/{consumerUserId}/agents/{agentKey}/readiness",
    operation_id = "getUserAgentReadiness", tag = "agents",
    security(("apiKey" = ["admin", "app"]), ("userToken" = [])),
    responses((status = 200, body = AgentReadiness), (status = 404, description = "not_found")),
)]
pub async fn readiness(
    ConsumerApp { app, .. }: ConsumerApp,
    ApiPath((_user, agent)): ApiPath<(ConsumerUserId, AgentKey)>,
) -> Result<Json<AgentReadiness>, Problem> {
    Ok(Json(use_case(&app, &agent).await?))
}
