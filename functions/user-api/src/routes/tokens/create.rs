use af_api::problem::IdempotencyHeader;
use af_api::user_tokens::{UserToken, UserTokenRequest};
use af_app::access::user_token::mint;
use af_app::intake::idempotency;
use af_domain::ids::ConsumerUserId;
use af_http::{ApiJson, ApiPath, IdempotencyKey, Json, Problem, StatusCode};
use secrecy::ExposeSecret;

use crate::caller::KeyHolder;

/// Makes a token with which a browser or a phone calls the routes of this user. A token opens no route of another user. It
/// ends with its validity, or with the key that made it. A repeated call with the same `Idempotency-Key` within a day gets
/// the same token, also when the token has expired.
///
/// # Errors
/// 422 for a validity that is not acceptable, or when the idempotency key came with another request.
#[utoipa::path(
    post, path = "/v1/users/{consumerUserId}/tokens",
    operation_id = "createUserToken", tag = "users",
    security(("apiKey" = ["admin", "app"])), params(IdempotencyHeader), request_body = inline(UserTokenRequest),
    responses(
        (status = 201, body = UserToken), (status = 422, description = "invalid_field, idempotency_mismatch"),
    ),
)]
pub async fn create(
    KeyHolder { app, caller }: KeyHolder,
    ApiPath(user): ApiPath<ConsumerUserId>,
    key: Option<IdempotencyKey>,
    ApiJson(request): ApiJson<UserTokenRequest>,
) -> Result<(StatusCode, Json<UserToken>), Problem> {
    let once = key.map(|key| {
        let ttl = request.ttl_seconds.map(|ttl| ttl.to_string()).unwrap_or_default();
        idempotency::call(&app, &caller.key_id, key.as_str(), &["user-token", user.as_str(), &ttl])
    });
    let (token, expires_at) = mint(&app, &caller, &user, request.ttl_seconds, once.as_ref()).await?;
    let token = UserToken {
        consumer_user_id: user.to_string(),
        token: token.expose_secret().to_owned(),
        expires_at: expires_at.as_millis(),
    };
    Ok((StatusCode::CREATED, Json(token)))
}
