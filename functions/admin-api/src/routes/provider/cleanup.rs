//! `POST /v1/provider/cleanup`: removes this deployment's machines and volumes from one app.

use af_api::provider::{Cleanup, CleanupCount, CleanupRequest};
use af_app::pool::provider::cleanup;
use af_http::{ApiJson, Problem};
use axum::Json;
use axum::extract::State;

use crate::caller::Operator;
use crate::state::Shared;

/// Removes this deployment's machines and volumes from the app, as far as the time of one call allows. Sent again, the call
/// continues with what remains.
///
/// # Errors
/// 422 when `confirm` is not the app's name; otherwise what is missing or why the provider cannot answer.
#[utoipa::path(
    post, path = "/v1/provider/cleanup", tag = "provider",
    security(("apiKey" = ["admin"])), request_body = CleanupRequest,
    responses(
        (status = 200, body = Cleanup), (status = 404, description = "not_found"),
        (status = 409, description = "not_configured, conflict"),
        (status = 429, description = "rate_limited"), (status = 503, description = "unavailable"),
    ),
)]
pub async fn cleanup(
    State(app): State<Shared>,
    _: Operator,
    ApiJson(request): ApiJson<CleanupRequest>,
) -> Result<Json<Cleanup>, Problem> {
    let done = cleanup::cleanup(&app, &request.app_name, &request.confirm).await?;
    Ok(Json(Cleanup {
        app_name: done.app_name,
        machines: count(done.machines),
        volumes: count(done.volumes),
        warnings: done.warnings,
        errors: done.errors,
    }))
}

fn count(count: cleanup::CleanupCount) -> CleanupCount {
    CleanupCount { found: count.found, deleted: count.deleted, remaining: count.remaining }
}
