use af_api::provider::{ProviderConfig, ProviderConfigView};
use af_app::pool::provider::config::set;
use af_http::{ApiJson, Json, Problem};
use serde_json::{Map, Value};

use crate::caller::Operator;
use crate::routes::provider_config::wire;

/// Sets the config. Workers that run already keep the settings of their start.
///
/// # Errors
/// 422 with the field at fault. Nothing is written then.
#[utoipa::path(
    put, path = "/v1/config/provider",
    operation_id = "setProviderConfig", tag = "config",
    security(("apiKey" = ["admin"])), request_body = ProviderConfig,
    responses((status = 200, body = ProviderConfigView)),
)]
pub async fn put(
    Operator { app, .. }: Operator,
    ApiJson(body): ApiJson<Map<String, Value>>,
) -> Result<Json<ProviderConfigView>, Problem> {
    let config: ProviderConfig = wire::read(&app, &body)?;
    Ok(Json(wire::view(set(&app, wire::stored(&config)?).await?)?))
}
