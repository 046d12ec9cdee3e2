use af_api::provider::Readiness;
use af_app::pool::provider::readiness::readiness as check;
use af_http::{Json, Problem, PublicUrl};

use crate::caller::Viewer;

/// Checks the config, the secrets and the provider.
///
/// # Errors
/// When the table or Secrets Manager cannot answer. A failure of the provider is part of the answer.
#[utoipa::path(
    get, path = "/v1/provider",
    operation_id = "getProviderReadiness", tag = "provider",
    security(("apiKey" = ["admin", "read"])),
    responses((status = 200, body = Readiness)),
)]
pub async fn readiness(Viewer(app): Viewer, PublicUrl(url): PublicUrl) -> Result<Json<Readiness>, Problem> {
    Ok(Json(check(&app, url.as_deref()).await?))
}
