use af_api::provider::{Cleanup, CleanupRequest};
use af_app::pool::provider::cleanup;
use af_http::{ApiJson, Json, Problem};

use crate::caller::Operator;

/// Removes this deployment's machines and volumes from the app, as far as the time of one call allows. Sent again, the call
/// continues with what remains.
///
/// # Errors
/// 422 when `appName` or `confirm` is not the name of the configured app; otherwise what is missing or why the provider cannot answer.
#[utoipa::path(
    post, path = "/v1/provider/cleanup",
    operation_id = "cleanUpProvider", tag = "provider",
    security(("apiKey" = ["admin"])), request_body = CleanupRequest,
    responses(
        (status = 200, body = Cleanup), (status = 404, description = "not_found"),
        (status = 409, description = "not_configured, conflict"),
        (status = 429, description = "rate_limited"), (status = 503, description = "unavailable"),
    ),
)]
pub async fn cleanup(
    Operator { app, .. }: Operator,
    ApiJson(request): ApiJson<CleanupRequest>,
) -> Result<Json<Cleanup>, Problem> {
    Ok(Json(cleanup::cleanup(&app, &request).await?))
}
