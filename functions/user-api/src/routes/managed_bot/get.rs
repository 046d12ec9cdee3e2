use af_api::managed_bots::ManagedBotBody;
use af_app::telegram::managed_bots::{ShownLink, newest};
use af_domain::ids::{AgentKey, ConsumerUserId};
use af_domain::managed_bot::{BotLink, BotLinkStatus, ManagedBot, ManagedBotState};
use af_http::{ApiPath, Json, Problem};

use crate::caller::ConsumerApp;

/// Shows the newest link for a managed bot of a user and an agent, and the bot that was created with it.
///
/// # Errors
/// 404 when there is none. A link is shown for a day after its end.
#[utoipa::path(
    get, path = "/v1/users/{consumerUserId}/agents/{agentKey}/managed-bot", tag = "pairing",
    operation_id = "getManagedBotLink",
    security(("apiKey" = ["admin", "app"]), ("userToken" = [])),
    responses((status = 200, body = ManagedBotBody), (status = 404, description = "not_found")),
)]
pub async fn get(
    ConsumerApp { app, .. }: ConsumerApp,
    ApiPath((user, agent)): ApiPath<(ConsumerUserId, AgentKey)>,
) -> Result<Json<ManagedBotBody>, Problem> {
    let ShownLink { link, bot, status } = newest(&app, &user, &agent).await?;
    Ok(Json(shown(link, bot, status)))
}

/// The link as callers see it.
pub fn shown(link: BotLink, bot: Option<ManagedBot>, status: BotLinkStatus) -> ManagedBotBody {
    let address = (status == BotLinkStatus::Pending).then(|| link.address());
    let reason = match bot.as_ref().map(|bot| &bot.state) {
        Some(ManagedBotState::Failed { reason }) => Some(reason.clone()),
        _ => None,
    };
    ManagedBotBody {
        consumer_user_id: link.user.to_string(),
        agent_key: link.agent.to_string(),
        status: status.as_str().to_owned(),
        link: address,
        suggested_username: link.username.to_string(),
        created_at: link.created_at.as_millis(),
        expires_at: link.expires_at.as_millis(),
        bot_identity: link.bot.map(|bot| bot.to_string()),
        bot_username: bot.as_ref().map(|bot| bot.username.clone()),
        telegram_user_id: bot.map(|bot| bot.creator.to_string()),
        reason,
    }
}
