use af_api::provider::ProviderConfigView;
use af_app::pool::provider::config::show;
use af_http::{Json, Problem};

use crate::caller::Viewer;
use crate::routes::provider_config::wire;

/// Shows the config; null while none is set.
///
/// # Errors
/// When it cannot be read.
#[utoipa::path(
    get, path = "/v1/config/provider",
    operation_id = "getProviderConfig", tag = "config",
    security(("apiKey" = ["admin", "read"])),
    responses((status = 200, body = ProviderConfigView)),
)]
pub async fn get(Viewer(app): Viewer) -> Result<Json<ProviderConfigView>, Problem> {
    Ok(Json(wire::view(show(&app).await?)?))
}
