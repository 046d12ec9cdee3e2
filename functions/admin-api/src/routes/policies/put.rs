//! `PUT /v1/config/policies`: group → field → value; `null` takes an override back, what is not named stays.

use af_api::policies::{PoliciesView, PolicyChanges};
use af_app::settings::policies::set;
use af_http::{ApiJson, Problem};
use axum::Json;
use axum::extract::State;

use super::shown;
use crate::Shared;
use crate::caller::Operator;

/// Sets fields and shows all. Other functions follow within ten seconds.
///
/// # Errors
/// 422 naming the field at fault and what it accepts; nothing is written then.
#[utoipa::path(
    put, path = "/v1/config/policies", tag = "config",
    security(("apiKey" = ["admin"])),
    request_body(content = Object, example = json!({"retry": {"maxAttempts": 3}, "poll": {"activeMs": null}})),
    responses((status = 200, body = inline(PoliciesView))),
)]
pub async fn put(
    State(app): State<Shared>,
    _: Operator,
    ApiJson(changes): ApiJson<PolicyChanges>,
) -> Result<Json<PoliciesView>, Problem> {
    Ok(Json(shown(set(&app, changes).await?)))
}
