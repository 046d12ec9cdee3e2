use af_api::user_agents::UserAgentBody;
use af_app::agents::users;
use af_domain::ids::{AgentKey, ConsumerUserId};
use af_http::{ApiPath, Json, Problem};

use crate::caller::ConsumerApp;

/// Shows an agent of a user.
///
/// # Errors
/// 404 when the user has no binding to the agent and no pairing code for it.
#[utoipa::path(
    get, path = "/v1/users/{consumerUserId}/agents/{agentKey}",
    operation_id = "getUserAgent", tag = "users",
    security(("apiKey" = ["admin", "app"]), ("userToken" = [])),
    responses((status = 200, body = UserAgentBody), (status = 404, description = "not_found")),
)]
pub async fn get(
    ConsumerApp { app, .. }: ConsumerApp,
    ApiPath((user, agent)): ApiPath<(ConsumerUserId, AgentKey)>,
) -> Result<Json<UserAgentBody>, Problem> {
    Ok(Json(users::get(&app, &user, &agent).await?))
}
