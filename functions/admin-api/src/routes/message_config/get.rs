use af_api::message_config::MessageConfig;
use af_app::settings::message_config::show;
use af_domain::time::Millis;
use af_http::{Json, Problem};

use crate::caller::Viewer;

/// Shows the config.
///
/// # Errors
/// When it cannot be read.
#[utoipa::path(
    get, path = "/v1/config/message",
    operation_id = "getMessageConfig", tag = "config",
    security(("apiKey" = ["admin", "read"])),
    responses((status = 200, body = MessageConfig)),
)]
pub async fn get(Viewer(app): Viewer) -> Result<Json<MessageConfig>, Problem> {
    let config = show(&app).await?;
    Ok(Json(MessageConfig {
        system_prompt: config.system_prompt,
        telegram_attachment_retention_ms: config.telegram_attachment_retention.map(Millis::as_millis),
    }))
}
