//! `PUT /v1/users/{consumerUserId}/binding`: binds a user to an agent.

use af_app::agents::bindings;
use af_domain::agent::{BindingSource, TelegramIdentity};
use af_domain::ids::{AgentKey, BotIdentity, ConsumerUserId};
use af_http::{ApiJson, ApiPath, Id, Problem};
use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use super::BindingBody;
use crate::Shared;
use crate::caller::ConsumerApp;

/// To whom, and where the user is on Telegram.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    #[schema(value_type = String)]
    agent_key: Id<AgentKey>,
    #[serde(default)]
    telegram: Option<TelegramRequest>,
    /// Who says so.
    #[serde(default)]
    #[schema(inline)]
    source: Source,
}

/// A person on Telegram, as one bot sees them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TelegramRequest {
    /// The agent's own bot.
    #[schema(value_type = String)]
    bot_identity: Id<BotIdentity>,
    /// Their user id.
    #[serde(default)]
    user_id: Option<String>,
    /// Their private chat with the bot.
    #[serde(default)]
    chat_id: Option<String>,
}

/// Where a binding may be said to come from; pairing is not for callers to claim.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Source {
    Manual,
    #[default]
    Api,
}

/// Binds a user, in place of whatever bound this user, this person on Telegram or this chat before.
///
/// # Errors
/// 404 for an unknown agent, 409 for a disabled one or when the bot is not the agent's, 422 naming the field at fault.
#[utoipa::path(
    put, path = "/v1/users/{consumerUserId}/binding", tag = "bindings",
    security(("apiKey" = ["admin", "app"])), request_body = inline(Request),
    responses(
        (status = 200, body = BindingBody), (status = 404, description = "not_found"),
        (status = 409, description = "agent_disabled, bot_conflict"),
    ),
)]
pub async fn put(
    State(app): State<Shared>,
    _: ConsumerApp,
    ApiPath(user): ApiPath<ConsumerUserId>,
    ApiJson(request): ApiJson<Request>,
) -> Result<Json<BindingBody>, Problem> {
    let source = match request.source {
        Source::Manual => BindingSource::Manual,
        Source::Api => BindingSource::Api,
    };
    let telegram = request.telegram.map(|telegram| TelegramIdentity {
        bot: telegram.bot_identity.0,
        user: telegram.user_id,
        chat: telegram.chat_id,
    });
    let binding = bindings::bind(&app, &user, &request.agent_key.0, telegram, source).await?;
    Ok(Json(binding.into()))
}
