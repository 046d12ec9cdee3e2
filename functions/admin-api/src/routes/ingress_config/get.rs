use af_api::ingress_config::IngressConfig;
use af_app::settings::ingress_config::show;
use af_http::{Json, Problem};

use crate::caller::Viewer;

/// Shows the config.
///
/// # Errors
/// When it cannot be read.
#[utoipa::path(
    get, path = "/v1/config/ingress",
    operation_id = "getIngressConfig", tag = "config",
    security(("apiKey" = ["admin", "read"])),
    responses((status = 200, body = IngressConfig)),
)]
pub async fn get(Viewer(app): Viewer) -> Result<Json<IngressConfig>, Problem> {
    Ok(Json(show(&app).await?))
}
