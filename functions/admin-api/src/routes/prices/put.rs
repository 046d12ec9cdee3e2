use af_api::prices::PricesBody;
use af_app::settings::prices::set;
use af_http::{ApiJson, Json, Problem};

use crate::caller::Operator;

/// Replaces all prices. All functions use them within ten seconds, for attempts that end from then on.
///
/// # Errors
/// 422 with the field at fault. A refused call writes nothing.
#[utoipa::path(
    put, path = "/v1/config/prices",
    operation_id = "setPrices", tag = "config",
    security(("apiKey" = ["admin"])), request_body = PricesBody,
    responses((status = 200, body = PricesBody)),
)]
pub async fn put(
    Operator { app, .. }: Operator,
    ApiJson(prices): ApiJson<PricesBody>,
) -> Result<Json<PricesBody>, Problem> {
    Ok(Json(set(&app, prices).await?))
}
