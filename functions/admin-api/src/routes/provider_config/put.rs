//! `PUT /v1/config/provider`: sets the whole config; what is left out goes back to its default.

use af_app::pool::provider::ProviderConfig;
use af_app::pool::provider::config::{ProviderConfigView, set};
use af_http::{ApiJson, Problem};
use axum::Json;
use axum::extract::State;

use crate::caller::Operator;
use crate::state::Shared;

/// Sets the config. Workers that run already go on with what they were started with.
///
/// # Errors
/// 422 naming the field at fault; nothing is written then.
#[utoipa::path(
    put, path = "/v1/config/provider", tag = "config",
    security(("apiKey" = ["admin"])), request_body = ProviderConfig,
    responses((status = 200, body = ProviderConfigView)),
)]
pub async fn put(
    State(app): State<Shared>,
    _: Operator,
    ApiJson(config): ApiJson<ProviderConfig>,
) -> Result<Json<ProviderConfigView>, Problem> {
    Ok(Json(set(&app, config).await?))
}
