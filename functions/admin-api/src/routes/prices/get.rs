use af_api::prices::PricesBody;
use af_app::settings::prices::show;
use af_http::{Json, Problem};

use crate::caller::Viewer;

/// Shows the prices of models, by which the ledger counts costs that workers do not report.
///
/// # Errors
/// When they cannot be read.
#[utoipa::path(
    get, path = "/v1/config/prices",
    operation_id = "getPrices", tag = "config",
    security(("apiKey" = ["admin", "read"])),
    responses((status = 200, body = PricesBody)),
)]
pub async fn get(Viewer(app): Viewer) -> Result<Json<PricesBody>, Problem> {
    Ok(Json(show(&app).await?))
}
