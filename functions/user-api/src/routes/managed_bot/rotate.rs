use af_api::agents::BotBody;
use af_api::problem::IdempotencyHeader;
use af_app::intake::idempotency;
use af_app::telegram::managed_bots::rotate as use_case;
use af_domain::ids::{AgentKey, ConsumerUserId};
use af_http::{ApiPath, IdempotencyKey, Json, Problem};

use crate::caller::KeyHolder;

/// Replaces the token of the agent's managed bot at Telegram and stores the new one. The old token ends at once.
/// A repeated call with the same `Idempotency-Key` within a day replaces nothing and gets the same answer.
///
/// # Errors
/// 404 for an unknown agent, 409 when its bot is not managed or another call works on it, 422 when the idempotency key came
/// with another request, 503 when Telegram cannot be reached. After a 503 the token may have been replaced; the deployment fetches it within minutes.
#[utoipa::path(
    post, path = "/v1/users/{consumerUserId}/agents/{agentKey}/managed-bot/rotate", tag = "agents",
    operation_id = "rotateManagedBotTokenForUser",
    security(("apiKey" = ["admin", "app"])), params(IdempotencyHeader),
    responses(
        (status = 200, body = BotBody), (status = 404, description = "not_found"),
        (status = 409, description = "not_configured, conflict, bot_conflict"),
        (status = 422, description = "idempotency_mismatch"), (status = 503, description = "unavailable"),
    ),
)]
pub async fn rotate(
    KeyHolder { app, caller }: KeyHolder,
    ApiPath((_user, agent)): ApiPath<(ConsumerUserId, AgentKey)>,
    key: Option<IdempotencyKey>,
) -> Result<Json<BotBody>, Problem> {
    let once = key
        .map(|key| idempotency::call(&app, &caller.key_id, key.as_str(), &["rotate-token", agent.as_str()]));
    let rotated = async { Ok(BotBody::from(use_case(&app, &agent).await?)) };
    Ok(Json(idempotency::answered_once(&app, once.as_ref(), rotated).await?))
}
