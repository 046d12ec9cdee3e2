use af_api::managed_bots::{ManagedBotBody, ManagedBotRequest};
use af_api::problem::IdempotencyHeader;
use af_app::intake::idempotency;
use af_app::settings::public_url;
use af_app::telegram::managed_bots::{LinkRequest, create as use_case};
use af_domain::ids::{AgentKey, ConsumerUserId};
use af_domain::time::Millis;
use af_http::{ApiJson, ApiPath, IdempotencyKey, Json, Problem, PublicUrl, StatusCode};

use super::get::shown;
use crate::caller::KeyHolder;

/// Makes a link with which a person creates a bot in Telegram. The agent gets the bot, and the person is bound to the user;
/// no person sees the token of the bot. The link before expires. A repeated call with the same `Idempotency-Key` within a
/// day gets the same link.
///
/// # Errors
/// 404 for an unknown agent, 409 when the agent is disabled, has a bot that is not to be replaced, or no manager bot is
/// ready, 422 naming the field at fault, or when the idempotency key came with another request, 503 when Telegram cannot be
/// reached.
#[utoipa::path(
    post, path = "/v1/users/{consumerUserId}/agents/{agentKey}/managed-bot", tag = "pairing",
    operation_id = "createManagedBotLink",
    security(("apiKey" = ["admin", "app"])), params(IdempotencyHeader), request_body = inline(ManagedBotRequest),
    responses(
        (status = 201, body = ManagedBotBody), (status = 404, description = "not_found"),
        (status = 409, description = "agent_disabled, bot_conflict, conflict, not_configured"),
        (status = 422, description = "invalid_field, idempotency_mismatch"),
        (status = 503, description = "unavailable"),
    ),
)]
pub async fn create(
    KeyHolder { app, caller }: KeyHolder,
    ApiPath((user, agent)): ApiPath<(ConsumerUserId, AgentKey)>,
    PublicUrl(url): PublicUrl,
    key: Option<IdempotencyKey>,
    ApiJson(request): ApiJson<ManagedBotRequest>,
) -> Result<(StatusCode, Json<ManagedBotBody>), Problem> {
    let ManagedBotRequest { name, ttl_ms, replace } = request;
    let once = key.map(|key| {
        let ttl = ttl_ms.map(|ttl| ttl.to_string()).unwrap_or_default();
        let (name, replace) = (name.as_deref().unwrap_or_default(), replace.to_string());
        let body = ["managed-bot", user.as_str(), agent.as_str(), name, &ttl, &replace];
        idempotency::call(&app, &caller.key_id, key.as_str(), &body)
    });
    let url = public_url::required(&app, url.as_deref()).await?;
    let request = LinkRequest { name, ttl: ttl_ms.map(Millis::new), replace };
    let link = use_case(&app, &user, &agent, &request, &url, once.as_ref()).await?;
    let status = link.status(None, app.now());
    Ok((StatusCode::CREATED, Json(shown(link, None, status))))
}
