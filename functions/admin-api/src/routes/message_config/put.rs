use af_api::message_config::MessageConfig;
use af_app::settings::message_config::{self, set};
use af_domain::time::Millis;
use af_http::{ApiJson, Json, Problem};

use crate::caller::Operator;

/// Replaces the config. All functions use it within ten seconds.
///
/// # Errors
/// 422 with the field at fault. A refused call writes nothing.
#[utoipa::path(
    put, path = "/v1/config/message",
    operation_id = "setMessageConfig", tag = "config",
    security(("apiKey" = ["admin"])), request_body = MessageConfig,
    responses((status = 200, body = MessageConfig)),
)]
pub async fn put(
    Operator { app, .. }: Operator,
    ApiJson(config): ApiJson<MessageConfig>,
) -> Result<Json<MessageConfig>, Problem> {
    let wanted = message_config::MessageConfig {
        system_prompt: config.system_prompt.clone(),
        telegram_attachment_retention: config.telegram_attachment_retention_ms.map(Millis::new),
    };
    set(&app, wanted).await?;
    Ok(Json(config))
}
