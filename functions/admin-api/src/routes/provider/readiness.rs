//! `GET /v1/provider`: whether workers can run, and what the provider has.

use af_api::provider::Readiness;
use af_app::pool::provider::readiness::readiness as check;
use af_http::{Problem, PublicUrl};
use axum::Json;
use axum::extract::State;

use crate::caller::Viewer;
use crate::state::Shared;

/// Checks the config, the secrets and the provider.
///
/// # Errors
/// When the table or Secrets Manager cannot answer. A failure of the provider is part of the answer.
#[utoipa::path(
    get, path = "/v1/provider", tag = "provider",
    security(("apiKey" = ["admin", "read"])),
    responses((status = 200, body = Readiness)),
)]
pub async fn readiness(
    State(app): State<Shared>,
    _: Viewer,
    PublicUrl(url): PublicUrl,
) -> Result<Json<Readiness>, Problem> {
    let readiness = check(&app, url.as_deref()).await?;
    Ok(Json(Readiness {
        kind: readiness.kind,
        app_name: readiness.app_name,
        ready: readiness.ready,
        missing: readiness.missing,
        machines: readiness.machines,
        volumes: readiness.volumes,
        warnings: readiness.warnings,
    }))
}
