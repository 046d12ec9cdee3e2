//! `GET /v1/config/message`: what every message is handed to its worker with.

use af_app::settings::message_config::{MessageConfig, show};
use af_http::Problem;
use axum::Json;
use axum::extract::State;

use crate::Shared;
use crate::caller::Viewer;

/// Shows the config.
///
/// # Errors
/// When it cannot be read.
#[utoipa::path(
    get, path = "/v1/config/message", tag = "config",
    security(("apiKey" = ["admin", "read"])),
    responses((status = 200, body = MessageConfig)),
)]
pub async fn get(State(app): State<Shared>, _: Viewer) -> Result<Json<MessageConfig>, Problem> {
    Ok(Json(show(&app).await?))
}
