use af_api::user_agents::UsageStats;
use af_app::agents::usage::usage as use_case;
use af_domain::ids::{AgentKey, ConsumerUserId};
use af_http::{ApiPath, Json, Problem};

use crate::caller::ConsumerApp;

/// Shows the figures of a user with an agent: push jobs, history, and messages that wait or have failed, and
/// what the last 30 days have used. They are zero for an
/// unknown user.
///
/// # Errors
/// 422 for an id that breaks its rule.
#[utoipa::path(
    get, path = "/v1/users/{consumerUserId}/agents/{agentKey}/usage",
    operation_id = "getUserAgentUsageStats", tag = "users",
    security(("apiKey" = ["admin", "app"]), ("userToken" = [])),
    responses((status = 200, body = UsageStats)),
)]
pub async fn usage(
    ConsumerApp { app, .. }: ConsumerApp,
    ApiPath((user, agent)): ApiPath<(ConsumerUserId, AgentKey)>,
) -> Result<Json<UsageStats>, Problem> {
    Ok(Json(use_case(&app, &user, &agent).await?))
}
