//! `POST /v1/provider/cleanup`: removes this deployment's machines and volumes from one app.

use af_app::pool::provider::cleanup::{Cleanup, cleanup as clear};
use af_http::{ApiJson, Problem};
use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::Shared;
use crate::caller::Operator;

/// What to clear.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// The app.
    app_name: String,
    /// The app once more: nothing is removed by a slip.
    confirm: String,
}

/// Clears the app as far as the time of one call allows. Sent again, it goes on with what remains.
///
/// # Errors
/// 422 when `confirm` is not the app; what is missing or why the provider cannot be asked.
#[utoipa::path(
    post, path = "/v1/provider/cleanup", tag = "provider",
    security(("apiKey" = ["admin"])), request_body = inline(Request),
    responses(
        (status = 200, body = Cleanup), (status = 404, description = "not_found"),
        (status = 409, description = "not_configured, conflict"),
        (status = 429, description = "rate_limited"), (status = 503, description = "unavailable"),
    ),
)]
pub async fn cleanup(
    State(app): State<Shared>,
    _: Operator,
    ApiJson(request): ApiJson<Request>,
) -> Result<Json<Cleanup>, Problem> {
    Ok(Json(clear(&app, &request.app_name, &request.confirm).await?))
}
