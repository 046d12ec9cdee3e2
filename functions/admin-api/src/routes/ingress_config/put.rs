use af_api::ingress_config::IngressConfig;
use af_app::settings::ingress_config::set;
use af_http::{ApiJson, Json, Problem};

use crate::caller::Operator;

/// Replaces the config; fields that are left out return to their defaults. All functions use it within ten seconds.
///
/// # Errors
/// 422 with the field at fault. A refused call writes nothing.
#[utoipa::path(
    put, path = "/v1/config/ingress",
    operation_id = "setIngressConfig", tag = "config",
    security(("apiKey" = ["admin"])), request_body = IngressConfig,
    responses((status = 200, body = IngressConfig)),
)]
pub async fn put(
    Operator { app, .. }: Operator,
    ApiJson(config): ApiJson<IngressConfig>,
) -> Result<Json<IngressConfig>, Problem> {
    Ok(Json(set(&app, &config).await?))
}
