use af_api::agents::{BotBody, TelegramTokenRequest};
use af_app::telegram::bots::set_token;
use af_domain::ids::AgentKey;
use af_http::{ApiJson, ApiPath, Json, Problem};

use crate::caller::Operator;

/// Checks the token with Telegram and keeps it as a secret.
///
/// # Errors
/// 404 for an unknown agent, 422 for a token that Telegram does not know, 409 when the bot belongs to another agent or
/// the agent has another bot, 503 when Telegram cannot be reached.
#[utoipa::path(
    put, path = "/v1/agents/{agentKey}/telegram-token",
    operation_id = "importTelegramToken", tag = "agents",
    security(("apiKey" = ["admin"])), request_body = inline(TelegramTokenRequest),
    responses(
        (status = 200, body = BotBody), (status = 404, description = "not_found"),
        (status = 409, description = "bot_conflict, conflict"), (status = 503, description = "unavailable"),
    ),
)]
pub async fn put(
    Operator { app, .. }: Operator,
    ApiPath(agent): ApiPath<AgentKey>,
    ApiJson(request): ApiJson<TelegramTokenRequest>,
) -> Result<Json<BotBody>, Problem> {
    let bot = set_token(&app, &agent, request.plaintext_value.0, request.replace).await?;
    Ok(Json(bot.into()))
}
