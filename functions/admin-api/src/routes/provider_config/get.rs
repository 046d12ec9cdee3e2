//! `GET /v1/config/provider`: the config, and what may be a mistake in it.

use af_app::pool::provider::config::{ProviderConfigView, show};
use af_http::Problem;
use axum::Json;
use axum::extract::State;

use crate::caller::Viewer;
use crate::state::Shared;

/// Shows the config; null before the first.
///
/// # Errors
/// When it cannot be read.
#[utoipa::path(
    get, path = "/v1/config/provider", tag = "config",
    security(("apiKey" = ["admin", "read"])),
    responses((status = 200, body = ProviderConfigView)),
)]
pub async fn get(State(app): State<Shared>, _: Viewer) -> Result<Json<ProviderConfigView>, Problem> {
    Ok(Json(show(&app).await?))
}
