use af_api::keys::{KeyRequest, NewKey};
use af_api::problem::IdempotencyHeader;
use std::collections::BTreeSet;

use af_app::access::api_keys;
use af_app::intake::idempotency;
use af_domain::time::Timestamp;
use af_http::{ApiJson, IdempotencyKey, Json, Problem, StatusCode};

use crate::caller::Operator;

/// Makes a key. A repeated call with the same `Idempotency-Key` within a day gets the same answer.
///
/// # Errors
/// 422 naming the field at fault, or when the idempotency key came with another request; 409 when the key that the call
/// made is gone.
#[utoipa::path(
    post, path = "/v1/keys",
    operation_id = "createKey", tag = "keys",
    security(("apiKey" = ["admin"])), params(IdempotencyHeader), request_body = inline(KeyRequest),
    responses(
        (status = 201, body = inline(NewKey)), (status = 409, description = "conflict"),
        (status = 422, description = "invalid_field, idempotency_mismatch"),
    ),
)]
pub async fn create(
    Operator { app, caller }: Operator,
    key: Option<IdempotencyKey>,
    ApiJson(request): ApiJson<KeyRequest>,
) -> Result<(StatusCode, Json<NewKey>), Problem> {
    let expires_at = request.expires_at.map(Timestamp::from_millis);
    let once = key.map(|key| {
        let scopes: BTreeSet<_> = request.scopes.iter().map(|scope| scope.as_str()).collect();
        let scopes = Vec::from_iter(scopes).join(",");
        let ends = request.expires_at.map(|at| at.to_string()).unwrap_or_default();
        let mut body = vec!["key", &request.name, &scopes, &ends];
        body.extend(request.company_id.as_ref().map(|company| company.0.as_str()));
        idempotency::call(&app, &caller.key_id, key.as_str(), &body)
    });
    let company = request.company_id.as_ref().map(|company| &company.0);
    let made =
        api_keys::create(&app, &request.name, &request.scopes, expires_at, company, once.as_ref()).await?;
    Ok((StatusCode::CREATED, Json(made)))
}
