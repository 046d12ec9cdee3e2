use af_app::settings::secrets;
use af_domain::ids::SecretRef;
use af_http::{ApiPath, Problem, StatusCode};

use crate::caller::Operator;

/// Deletes a secret. Deleting a secret that does not exist succeeds. An import under the same name restores the secret
/// while AWS still keeps it.
///
/// # Errors
/// 409 for a secret without which the deployment does not work; when Secrets Manager cannot answer.
#[utoipa::path(
    delete, path = "/v1/secrets/{secretRef}",
    operation_id = "deleteSecret", tag = "secrets",
    security(("apiKey" = ["admin"])),
    responses((status = 204), (status = 409, description = "conflict")),
)]
pub async fn delete(
    Operator { app, .. }: Operator,
    ApiPath(secret): ApiPath<SecretRef>,
) -> Result<StatusCode, Problem> {
    secrets::delete(&app, &secret).await?;
    Ok(StatusCode::NO_CONTENT)
}
