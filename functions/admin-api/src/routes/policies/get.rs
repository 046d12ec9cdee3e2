//! `GET /v1/config/policies`: group → field → `{value, default, accepts}`.

use af_api::policies::PoliciesView;
use af_app::settings::policies::view;
use af_http::Problem;
use axum::Json;
use axum::extract::State;

use super::conversions::shown;
use crate::caller::Viewer;
use crate::state::Shared;

/// Shows every field with its value, its default and what it accepts.
///
/// # Errors
/// When they cannot be read.
#[utoipa::path(
    get, path = "/v1/config/policies", tag = "config",
    security(("apiKey" = ["admin", "read"])),
    responses((status = 200, body = inline(PoliciesView))),
)]
pub async fn get(State(app): State<Shared>, _: Viewer) -> Result<Json<PoliciesView>, Problem> {
    Ok(Json(shown(view(&app).await?)))
}
