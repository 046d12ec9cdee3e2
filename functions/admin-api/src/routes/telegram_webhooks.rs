use af_api::telegram::{WebhookAnswer, WebhookRequest};
use af_app::settings::public_url;
use af_app::telegram::bots::configure_webhook;
use af_http::{ApiJson, Json, Problem, PublicUrl};

use crate::caller::Sender;

/// Configures the webhook of an agent's bot. A repeated call rotates the secret; the previous
/// secret stays valid for 10 minutes.
///
/// # Errors
/// 404 for an unknown agent, 409 when it has no bot or Telegram refuses the URL, 503 when Telegram cannot be reached.
#[utoipa::path(
    post, path = "/v1/telegram/webhooks",
    operation_id = "configureTelegramWebhook", tag = "telegram",
    security(("apiKey" = ["admin", "app"])), request_body = inline(WebhookRequest),
    responses(
        (status = 200, body = inline(WebhookAnswer)), (status = 404, description = "not_found"),
        (status = 409, description = "not_configured, conflict"),
        (status = 503, description = "unavailable"),
    ),
)]
pub async fn configure(
    Sender { app, .. }: Sender,
    PublicUrl(url): PublicUrl,
    ApiJson(request): ApiJson<WebhookRequest>,
) -> Result<Json<WebhookAnswer>, Problem> {
    let url = public_url::required(&app, url.as_deref()).await?;
    Ok(Json(configure_webhook(&app, &request.agent_key.0, &url).await?))
}
