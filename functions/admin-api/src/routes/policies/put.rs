use af_api::policies::{PoliciesView, PolicyChanges};
use af_app::settings::policies::set;
use af_http::{ApiJson, Json, Problem};

use crate::caller::Operator;

/// Sets fields and shows all of them. All functions use them within ten seconds.
///
/// # Errors
/// 422 with the field at fault and the values that it accepts. A refused call writes nothing.
#[utoipa::path(
    put, path = "/v1/config/policies",
    operation_id = "setPolicies", tag = "config",
    security(("apiKey" = ["admin"])),
    request_body(content = Object, example = json!({"retry": {"maxAttempts": 3}, "poll": {"activeMs": null}})),
    responses((status = 200, body = inline(PoliciesView))),
)]
pub async fn put(
    Operator { app, .. }: Operator,
    ApiJson(changes): ApiJson<PolicyChanges>,
) -> Result<Json<PoliciesView>, Problem> {
    Ok(Json(set(&app, changes).await?))
}
