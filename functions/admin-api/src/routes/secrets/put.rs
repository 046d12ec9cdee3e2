use af_api::secrets::{SecretAnswer, SecretRequest};
use af_app::settings::secrets;
use af_domain::ids::SecretRef;
use af_http::{ApiJson, ApiPath, Json, Problem};

use crate::caller::Operator;

/// Imports a secret. A function that has read the previous value may use it for five more minutes.
///
/// # Errors
/// 422 for an empty value or one of more than 64 KB.
#[utoipa::path(
    put, path = "/v1/secrets/{secretRef}",
    operation_id = "importSecret", tag = "secrets",
    security(("apiKey" = ["admin"])), request_body = inline(SecretRequest),
    responses((status = 200, body = inline(SecretAnswer))),
)]
pub async fn put(
    Operator { app, .. }: Operator,
    ApiPath(secret): ApiPath<SecretRef>,
    ApiJson(request): ApiJson<SecretRequest>,
) -> Result<Json<SecretAnswer>, Problem> {
    let version = secrets::import(&app, &secret, request.plaintext_value.0).await?;
    Ok(Json(SecretAnswer { secret_ref: secret.to_string(), version }))
}
