use af_app::access::api_keys;
use af_http::{ApiPath, Problem, StatusCode};

use crate::caller::Operator;

/// Revokes a key. A function that has just checked the key may accept it for one more minute.
///
/// # Errors
/// 404 when there is no such key.
#[utoipa::path(
    delete, path = "/v1/keys/{keyId}",
    operation_id = "revokeKey", tag = "keys",
    security(("apiKey" = ["admin"])),
    responses((status = 204), (status = 404, description = "not_found")),
)]
pub async fn revoke(
    Operator { app, .. }: Operator,
    ApiPath(key): ApiPath<String>,
) -> Result<StatusCode, Problem> {
    api_keys::revoke(&app, &key).await?;
    Ok(StatusCode::NO_CONTENT)
}
