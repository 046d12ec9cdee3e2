use af_api::bindings::BindingBody;
use af_app::agents::bindings;
use af_domain::ids::ConsumerUserId;
use af_http::{ApiPath, Json, Problem};

use crate::caller::ConsumerApp;

/// Shows the user's active binding.
///
/// # Errors
/// 404 when the user has no active binding.
#[utoipa::path(
    get, path = "/v1/users/{consumerUserId}/binding",
    operation_id = "getUserBinding", tag = "bindings",
    security(("apiKey" = ["admin", "app"]), ("userToken" = [])),
    responses((status = 200, body = BindingBody), (status = 404, description = "not_found")),
)]
pub async fn get(
    ConsumerApp { app, .. }: ConsumerApp,
    ApiPath(user): ApiPath<ConsumerUserId>,
) -> Result<Json<BindingBody>, Problem> {
    Ok(Json(bindings::get(&app, &user).await?.into()))
}
