use af_api::user_agents::UserAgentBody;
use af_app::agents::users;
use af_domain::ids::ConsumerUserId;
use af_http::{ApiPath, Json, Problem};

use crate::caller::ConsumerApp;

/// Shows the active agent of a user.
///
/// # Errors
/// 404 when the user is not bound to an agent, or the agent accepts no messages.
#[utoipa::path(
    get, path = "/v1/users/{consumerUserId}/active-agent",
    operation_id = "getActiveUserAgent", tag = "users",
    security(("apiKey" = ["admin", "app"]), ("userToken" = [])),
    responses((status = 200, body = UserAgentBody), (status = 404, description = "not_found")),
)]
pub async fn active(
    ConsumerApp { app, .. }: ConsumerApp,
    ApiPath(user): ApiPath<ConsumerUserId>,
) -> Result<Json<UserAgentBody>, Problem> {
    Ok(Json(users::active(&app, &user).await?))
}
