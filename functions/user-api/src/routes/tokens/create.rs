use af_api::user_tokens::{UserToken, UserTokenRequest};
use af_app::access::user_token::mint;
use af_domain::ids::ConsumerUserId;
use af_http::{ApiJson, ApiPath, Json, Problem, StatusCode};
use secrecy::ExposeSecret;

use crate::caller::KeyHolder;

/// Makes a token with which a browser or a phone calls the routes of this user. A token opens no route of another user. It
/// ends with its validity, or with the key that made it.
///
/// # Errors
/// 422 for a validity that is not acceptable.
#[utoipa::path(
    post, path = "/v1/users/{consumerUserId}/tokens",
    operation_id = "createUserToken", tag = "users",
    security(("apiKey" = ["admin", "app"])), request_body = inline(UserTokenRequest),
    responses((status = 201, body = UserToken)),
)]
pub async fn create(
    KeyHolder { app, caller }: KeyHolder,
    ApiPath(user): ApiPath<ConsumerUserId>,
    ApiJson(request): ApiJson<UserTokenRequest>,
) -> Result<(StatusCode, Json<UserToken>), Problem> {
    let (token, expires_at) = mint(&app, &caller, &user, request.ttl_seconds).await?;
    let token = UserToken {
        consumer_user_id: user.to_string(),
        token: token.expose_secret().to_owned(),
        expires_at: expires_at.as_millis(),
    };
    Ok((StatusCode::CREATED, Json(token)))
}
