//! `PUT /v1/secrets/{secretRef}`: imports or rotates a secret.

use af_app::settings::secrets;
use af_domain::ids::SecretRef;
use af_http::{ApiJson, ApiPath, Problem};
use axum::Json;
use axum::extract::State;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Shared;
use crate::caller::Operator;
use crate::secret_text;

/// The value.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    #[serde(deserialize_with = "secret_text::read")]
    #[schema(value_type = String)]
    plaintext_value: SecretString,
}

/// What was made of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    secret_ref: String,
    /// The new version; the one before is kept by Secrets Manager.
    version: String,
}

/// Imports a secret. Functions that have read it may use the value before for five minutes more.
///
/// # Errors
/// 422 for an empty value or one of more than 64 KB.
#[utoipa::path(
    put, path = "/v1/secrets/{secretRef}", tag = "secrets",
    security(("apiKey" = ["admin"])), request_body = inline(Request),
    responses((status = 200, body = inline(Answer))),
)]
pub async fn put(
    State(app): State<Shared>,
    _: Operator,
    ApiPath(secret): ApiPath<SecretRef>,
    ApiJson(request): ApiJson<Request>,
) -> Result<Json<Answer>, Problem> {
    let version = secrets::import(&app, &secret, request.plaintext_value).await?;
    Ok(Json(Answer { secret_ref: secret.to_string(), version }))
}
