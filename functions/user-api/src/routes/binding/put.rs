use af_api::bindings::{BindingBody, BindingRequest};
use af_app::agents::bindings;
use af_domain::ids::ConsumerUserId;
use af_http::{ApiJson, ApiPath, Json, Problem};

use crate::caller::ConsumerApp;

/// Binds a user. The binding replaces earlier bindings of the user, of the Telegram user and of the chat.
///
/// # Errors
/// 404 for an unknown agent, 409 for a disabled one or when the bot is not the agent's, 422 naming the field at fault.
/// 403 for a user token with a Telegram account: a person connects by a pairing code.
#[utoipa::path(
    put, path = "/v1/users/{consumerUserId}/binding",
    operation_id = "bindUserAgent", tag = "bindings",
    security(("apiKey" = ["admin", "app"]), ("userToken" = [])), request_body = inline(BindingRequest),
    responses(
        (status = 200, body = BindingBody), (status = 404, description = "not_found"),
        (status = 409, description = "agent_disabled, bot_conflict"),
    ),
)]
pub async fn put(
    consumer: ConsumerApp,
    ApiPath(user): ApiPath<ConsumerUserId>,
    ApiJson(request): ApiJson<BindingRequest>,
) -> Result<Json<BindingBody>, Problem> {
    if request.telegram.is_some() {
        consumer.require_key("bind a Telegram account")?;
    }
    let (telegram, source) = (request.telegram.map(Into::into), request.source.into());
    let binding = bindings::bind(&consumer.app, &user, &request.agent_key.0, telegram, source).await?;
    Ok(Json(binding.into()))
}
