use af_app::agents::bindings;
use af_domain::ids::ConsumerUserId;
use af_http::{ApiPath, Problem, StatusCode};

use crate::caller::ConsumerApp;

/// Ends the user's active binding. Their conversation stays.
///
/// # Errors
/// 404 when the user has no active binding.
#[utoipa::path(
    delete, path = "/v1/users/{consumerUserId}/binding",
    operation_id = "revokeUserBinding", tag = "bindings",
    security(("apiKey" = ["admin", "app"]), ("userToken" = [])),
    responses((status = 204), (status = 404, description = "not_found")),
)]
pub async fn delete(
    ConsumerApp { app, .. }: ConsumerApp,
    ApiPath(user): ApiPath<ConsumerUserId>,
) -> Result<StatusCode, Problem> {
    bindings::revoke(&app, &user).await?;
    Ok(StatusCode::NO_CONTENT)
}
