//! `PUT /v1/config/message`: sets the whole config; what is left out is none from now on.

use af_api::message_config::MessageConfig;
use af_app::settings::message_config::{self, set};
use af_domain::time::Millis;
use af_http::{ApiJson, Problem};
use axum::Json;
use axum::extract::State;

use crate::Shared;
use crate::caller::Operator;

/// Sets the config. Other functions follow within ten seconds.
///
/// # Errors
/// 422 naming the field at fault; nothing is written then.
#[utoipa::path(
    put, path = "/v1/config/message", tag = "config",
    security(("apiKey" = ["admin"])), request_body = MessageConfig,
    responses((status = 200, body = MessageConfig)),
)]
pub async fn put(
    State(app): State<Shared>,
    _: Operator,
    ApiJson(config): ApiJson<MessageConfig>,
) -> Result<Json<MessageConfig>, Problem> {
    let wanted = message_config::MessageConfig {
        system_prompt: config.system_prompt.clone(),
        telegram_attachment_retention: config.telegram_attachment_retention_ms.map(Millis::new),
    };
    set(&app, wanted).await?;
    Ok(Json(config))
}
