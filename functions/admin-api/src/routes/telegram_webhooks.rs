//! `POST /v1/telegram/webhooks`: sets the webhook of an agent's bot to this deployment, with a new secret.

use af_api::telegram::{WebhookAnswer, WebhookRequest};
use af_app::settings::public_url;
use af_app::telegram::bots::configure_webhook;
use af_domain::time::Timestamp;
use af_http::{ApiJson, Problem, PublicUrl};
use axum::Json;
use axum::extract::State;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::caller::Operator;
use crate::state::Shared;

/// The route.
pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(configure))
}

/// Configures the webhook of an agent's bot. A repeated call rotates the secret; the previous
/// secret stays valid for 10 minutes.
///
/// # Errors
/// 404 for an unknown agent, 409 when it has no bot or Telegram refuses the URL, 503 when Telegram cannot be reached.
#[utoipa::path(
    post, path = "/v1/telegram/webhooks", tag = "telegram",
    security(("apiKey" = ["admin"])), request_body = inline(WebhookRequest),
    responses(
        (status = 200, body = inline(WebhookAnswer)), (status = 404, description = "not_found"),
        (status = 409, description = "not_configured, conflict"),
        (status = 503, description = "unavailable"),
    ),
)]
pub async fn configure(
    State(app): State<Shared>,
    _: Operator,
    PublicUrl(url): PublicUrl,
    ApiJson(request): ApiJson<WebhookRequest>,
) -> Result<Json<WebhookAnswer>, Problem> {
    let url = public_url::required(&app, url.as_deref()).await?;
    let state = configure_webhook(&app, &request.agent_key.0, &url).await?;
    Ok(Json(WebhookAnswer {
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
