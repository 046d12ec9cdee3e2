//! `GET /v1/provider`: whether workers can run, and what is where they run.

use af_api::provider::Readiness;
use af_app::pool::provider::readiness::readiness as look;
use af_http::{Problem, PublicUrl};
use axum::Json;
use axum::extract::State;

use crate::caller::Viewer;
use crate::state::Shared;

/// Looks at config, secrets and the provider itself.
///
/// # Errors
/// When the table or Secrets Manager cannot answer; what the provider answers is part of the result.
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
    let found = look(&app, url.as_deref()).await?;
    Ok(Json(Readiness {
        kind: found.kind,
        app_name: found.app_name,
        ready: found.ready,
        missing: found.missing,
        machines: found.machines,
        volumes: found.volumes,
        warnings: found.warnings,
    }))
}
