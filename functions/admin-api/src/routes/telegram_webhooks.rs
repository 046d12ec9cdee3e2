//! `POST /v1/telegram/webhooks`: points an agent's bot at our webhook, under a new secret.

use af_app::settings::public_url;
use af_app::telegram::bots::configure_webhook;
use af_domain::ids::AgentKey;
use af_domain::time::Timestamp;
use af_http::{ApiJson, Id, Problem, PublicUrl};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Shared;
use crate::caller::Operator;

/// Whose bot.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    #[schema(value_type = String)]
    agent_key: Id<AgentKey>,
}

/// The webhook as Telegram sees it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// Whether updates come to us from now on.
    ok: bool,
    /// The URL that we asked for.
    webhook_url: String,
    /// The URL that Telegram has.
    current_url: String,
    bot_identity: String,
    /// Whether both are the same.
    is_ready: bool,
    /// Updates that Telegram still holds.
    pending_update_count: u64,
    /// The last failed delivery, in Telegram's words.
    last_error_message: Option<String>,
    /// When that was, epoch ms.
    last_error_date: Option<u64>,
}

/// Configures the webhook of an agent's bot. Run again, it rotates the secret; the one before is good for 10 minutes.
///
/// # Errors
/// 404 for an unknown agent, 409 when it has no bot or Telegram refuses the URL, 503 when Telegram cannot be reached.
#[utoipa::path(
    post, path = "/v1/telegram/webhooks", tag = "telegram",
    security(("apiKey" = ["admin"])), request_body = inline(Request),
    responses(
        (status = 200, body = inline(Answer)), (status = 404, description = "not_found"),
        (status = 409, description = "not_configured, conflict"),
        (status = 503, description = "unavailable"),
    ),
)]
pub async fn configure(
    State(app): State<Shared>,
    _: Operator,
    PublicUrl(url): PublicUrl,
    ApiJson(request): ApiJson<Request>,
) -> Result<Json<Answer>, Problem> {
    let url = public_url::required(&app, url.as_deref()).await?;
    let state = configure_webhook(&app, &request.agent_key.0, &url).await?;
    Ok(Json(Answer {
        ok: state.is_ready,
        webhook_url: state.webhook_url,
        current_url: state.current_url,
        bot_identity: state.bot_identity.to_string(),
        is_ready: state.is_ready,
        pending_update_count: state.pending_update_count,
        last_error_message: state.last_error_message,
        last_error_date: state.last_error_at.map(Timestamp::as_millis),
    }))
}
