use af_api::agents::{BotBody, TelegramTokenRequest};
use af_app::telegram::bots::set_token;
use af_domain::ids::{AgentKey, ConsumerUserId};
use af_http::{ApiJson, ApiPath, Json, Problem};

use crate::caller::KeyHolder;

/// Checks the token of the agent's bot with Telegram and keeps it as a secret.
///
/// # Errors
/// 404 for an unknown agent, 422 for a token that Telegram does not know, 409 when the bot belongs to another agent or
/// the agent has another bot, 503 when Telegram cannot be reached.
#[utoipa::path(
    put, path = "/v1/users/{consumerUserId}/agents/{agentKey}/telegram-token",
    operation_id = "importTelegramTokenForAgent", tag = "agents",
    security(("apiKey" = ["admin", "app"])), request_body = inline(TelegramTokenRequest),
    responses(
        (status = 200, body = BotBody), (status = 404, description = "not_found"),
        (status = 409, description = "bot_conflict, conflict"), (status = 503, description = "unavailable"),
    ),
)]
pub async fn put(
    KeyHolder { app, .. }: KeyHolder,
    ApiPath((_user, agent)): ApiPath<(ConsumerUserId, AgentKey)>,
    ApiJson(request): ApiJson<TelegramTokenRequest>,
) -> Result<Json<BotBody>, Problem> {
    let bot = set_token(&app, &agent, request.plaintext_value.0, request.replace).await?;
    Ok(Json(bot.into()))
}
