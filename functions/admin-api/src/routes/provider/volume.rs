use af_app::pool::provider::volume::delete as remove;
use af_domain::ids::VolumeId;
use af_http::{ApiPath, Problem, StatusCode};

use crate::caller::Operator;

/// Deletes the volume and everything on it.
///
/// # Errors
/// 422 when the id is not valid, 404 when this deployment has no such volume, 409 while it is attached to a machine.
#[utoipa::path(
    delete, path = "/v1/provider/volumes/{volumeId}",
    operation_id = "deleteProviderVolume", tag = "provider",
    security(("apiKey" = ["admin"])),
    responses(
        (status = 204), (status = 404, description = "not_found"),
        (status = 409, description = "not_configured, conflict"),
        (status = 429, description = "rate_limited"), (status = 503, description = "unavailable"),
    ),
)]
pub async fn delete(
    Operator { app, .. }: Operator,
    ApiPath(volume): ApiPath<VolumeId>,
) -> Result<StatusCode, Problem> {
    remove(&app, &volume).await?;
    Ok(StatusCode::NO_CONTENT)
}
