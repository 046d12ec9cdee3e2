use af_api::policies::PoliciesView;
use af_app::settings::policies::view;
use af_http::{Json, Problem};

use crate::caller::Viewer;

/// Shows every field with its value, its default and what it accepts.
///
/// # Errors
/// When they cannot be read.
#[utoipa::path(
    get, path = "/v1/config/policies",
    operation_id = "getPolicies", tag = "config",
    security(("apiKey" = ["admin", "read"])),
    responses((status = 200, body = inline(PoliciesView))),
)]
pub async fn get(Viewer(app): Viewer) -> Result<Json<PoliciesView>, Problem> {
    Ok(Json(view(&app).await?))
}
