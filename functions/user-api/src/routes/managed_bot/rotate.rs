use af_api::agents::BotBody;
use af_app::telegram::managed_bots::rotate as use_case;
use af_domain::ids::{AgentKey, ConsumerUserId};
use af_http::{ApiPath, Json, Problem};

use crate::caller::KeyHolder;

/// Replaces the token of the agent's managed bot at Telegram and stores the new one. The old token ends at once.
///
/// # Errors
/// 404 for an unknown agent, 409 when its bot is not managed or another call works on it, 503 when Telegram cannot be
/// reached. After a 503 the token may have been replaced; the deployment fetches it within minutes.
#[utoipa::path(
    post, path = "/v1/users/{consumerUserId}/agents/{agentKey}/managed-bot/rotate", tag = "agents",
    operation_id = "rotateManagedBotTokenForUser",
    security(("apiKey" = ["admin", "app"])),
    responses(
        (status = 200, body = BotBody), (status = 404, description = "not_found"),
        (status = 409, description = "not_configured, conflict, bot_conflict"),
        (status = 503, description = "unavailable"),
    ),
)]
pub async fn rotate(
    KeyHolder { app, .. }: KeyHolder,
    ApiPath((_user, agent)): ApiPath<(ConsumerUserId, AgentKey)>,
) -> Result<Json<BotBody>, Problem> {
    Ok(Json(use_case(&app, &agent).await?.into()))
}
